#!/bin/sh
# login_lock.sh DENY UNLOCK_TIME FAIL_INTERVAL ROOT_UNLOCK_TIME LEAST_UNLOCK LEAST_INTERVAL LEAST_ROOT_UNLOCK SPARED
# SPARED: accounts joined by colons whose right password is taken before any lock is asked, or `-`.
# Reads the login side of PAM and prints, as one JSON object, what falls short. It changes nothing.
#   profiles  whether Debian's common files lack pam_faillock, so that profiles of it should be put in place first
#   authselect  whether authselect manages the stacks and its feature with-faillock is off
#   files     path -> the content that the file should have
# What complies, whichever way, is not in the answer; of a file that falls short only the lines concerned differ.
# Files below /etc/authselect are left to authselect.
set -eu
export LC_ALL=C
main=/etc/security/faillock.conf
files=
authselect=false
for file in /etc/pam.d/*; do
    case $file in *~ | *.dpkg-* | *.ucf-* | *.rpm* | *.bak | *.orig) continue ;; esac
    if [ ! -f "$file" ]; then continue; fi
    case $(readlink -f "$file") in
        /etc/authselect/*)
            if [ "${file##*/}" = system-auth ] && ! grep -Eq '^[[:space:]]*-?auth[[:space:]].*pam_faillock' "$file"; then
                authselect=true
            fi
            continue
            ;;
    esac
    if grep -Eq '^[[:space:]]*-?auth[[:space:]].*pam_(unix|unix2|sss|ldap|krb5|winbind|faillock|systemd_home)' "$file" ||
        [ "$file" = /etc/pam.d/common-account ]; then
        files="$files $file"
    fi
done
present=$main
if [ ! -f "$main" ]; then present=; fi
# shellcheck disable=SC2086  # lists of paths without blanks: PAM knows no others
for file in $files $present; do
    if [ "$(tr -d '\000-\177' <"$file" | wc -c)" -gt 0 ] && ! iconv -f UTF-8 -t UTF-8 "$file" >/dev/null 2>&1; then
        echo "$file: holds bytes that are not UTF-8; convert it (iconv -t UTF-8) and run again" >&2
        exit 1
    fi
done
debian=false
if [ -d /usr/share/pam-configs ] && command -v pam-auth-update >/dev/null; then debian=true; fi

# shellcheck disable=SC2086
awk -v deny="$1" -v unlock="$2" -v interval="$3" -v root_unlock="$4" -v least_unlock="$5" -v least_interval="$6" \
    -v least_root="$7" -v spared="${8:--}" -v main="$main" -v present="$present" -v debian="$debian" -v authselect="$authselect" '
function json(text) {
    gsub(/\\/, "&&", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); gsub(/\r/, "\\r", text)
    gsub(/[\001-\010\013\014\016-\037]/, " ", text); gsub(/\n/, "\\n", text)
    return "\"" text "\""
}
function body(line) { sub(/#.*/, "", line); return line }
function trim(text) { gsub(/^[ \t]+|[ \t\r]+$/, "", text); return text }

# ---- one rule of a service file -------------------------------------------------------------------------------
function is_auth(line) { return body(line) ~ /^[ \t]*-?auth[ \t]/ || body(line) ~ /^[ \t]*@include[ \t]/ }
function control_of(line) {
    line = body(line)
    sub(/^[ \t]*-?[a-z@]+[ \t]+/, "", line)
    if (match(line, /^\[[^]]*\]/)) return substr(line, 1, RLENGTH)
    sub(/[ \t].*/, "", line)
    return line
}
function module_of(line,    control) {
    line = body(line); control = control_of(line)
    sub(/^[ \t]*-?[a-z@]+[ \t]+/, "", line)
    line = trim(substr(line, length(control) + 1))
    sub(/[ \t].*/, "", line); sub(/.*\//, "", line); sub(/\.so$/, "", line)
    return line
}
function is_password(module) { return module ~ /^pam_(unix|unix2|sss|ldap|krb5|winbind|systemd_home)$/ }
function is_proof(module) { return module ~ /^pam_(rootok|fprintd|pkcs11|u2f|yubico|ssh_agent_auth|sepermit)$/ }
function phase(line) {
    if (module_of(line) != "pam_faillock") return ""
    line = body(line) " "
    if (line ~ /[ \t]preauth[ \t]/) return "preauth"
    if (line ~ /[ \t]authfail[ \t]/) return "authfail"
    if (line ~ /[ \t]authsucc[ \t]/) return "authsucc"
    return "preauth"
}
# What a control does with one answer of its module: a number (of modules to jump over) or a word.
function action(control, answer,    pairs, n, i, part, fallback) {
    if (control == "required") return answer == "success" ? "ok" : "bad"
    if (control == "requisite") return answer == "success" ? "ok" : "die"
    if (control == "sufficient") return answer == "success" ? "done" : "ignore"
    if (control == "optional") return answer == "success" ? "ok" : "ignore"
    fallback = "bad"
    gsub(/[\[\]]/, "", control)
    n = split(trim(control), pairs, /[ \t]+/)
    for (i = 1; i <= n; i++) {
        split(pairs[i], part, "=")
        if (part[1] == answer) return part[2]
        if (part[1] == "default") fallback = part[2]
    }
    return fallback
}
# How many modules an included file brings.
function weight_of(path, depth,    line, total, control) {
    total = 0
    while ((getline line < path) > 0) {
        if (!is_auth(line)) continue
        control = control_of(line)
        if (body(line) ~ /^[ \t]*@include/) total += depth > 4 ? 0 : weight_of(pam_path(control), depth + 1)
        else if (control == "include" || control == "substack")
            total += depth > 4 ? 0 : weight_of(pam_path(module_of(line)), depth + 1)
        else total++
    }
    close(path)
    return total
}
function pam_path(name) { sub(/.*\//, "", name); return "/etc/pam.d/" name }

# ---- the lines of a file as a chain of ids; jumps name the id they land on ------------------------------------
function load(file,    i, id) {
    last_id = lines[file]
    for (i = 1; i <= last_id; i++) {
        raw[i] = text[file, i]; nxt[i] = i < last_id ? i + 1 : 0; prv[i] = i - 1; gone[i] = 0
        auth[i] = is_auth(raw[i])
        weight[i] = 1
        if (auth[i] && body(raw[i]) ~ /^[ \t]*@include/) weight[i] = weight_of(pam_path(control_of(raw[i])), 1)
        else if (auth[i] && control_of(raw[i]) ~ /^(include|substack)$/) weight[i] = weight_of(pam_path(module_of(raw[i])), 1)
    }
    head = last_id ? 1 : 0
    for (i = 1; i <= last_id; i++) if (auth[i]) land(i)
    touched = 0
}
function next_auth(id) { for (id = nxt[id]; id && !auth[id]; id = nxt[id]); return id }
function land(id,    pairs, n, i, part, left, at) {
    jumps[id] = 0
    if (control_of(raw[id]) !~ /^\[.*=[ \t]*[0-9]/) return
    n = split(trim(substr(control_of(raw[id]), 2, length(control_of(raw[id])) - 2)), pairs, /[ \t]+/)
    for (i = 1; i <= n; i++) {
        split(pairs[i], part, "=")
        if (part[2] !~ /^[0-9]+$/) continue
        left = part[2]; at = next_auth(id)
        while (at && left > 0) { left -= weight[at]; at = next_auth(at) }
        jumps[id]++; key[id, jumps[id]] = part[1]
        # Into the middle of an include, or beyond the end: such a number is left as it is.
        target[id, jumps[id]] = left == 0 && at ? at : (left == 0 ? -1 : -2)
    }
}
function insert_before(id, line,    new) {
    new = ++last_id; raw[new] = line; auth[new] = 1; weight[new] = 1; jumps[new] = 0; gone[new] = 0
    nxt[new] = id; prv[new] = prv[id]
    if (prv[id]) nxt[prv[id]] = new; else head = new
    prv[id] = new; touched = 1
    return new
}
function insert_after(id, line,    new) {
    new = ++last_id; raw[new] = line; auth[new] = 1; weight[new] = 1; jumps[new] = 0; gone[new] = 0
    prv[new] = id; nxt[new] = nxt[id]
    if (nxt[id]) prv[nxt[id]] = new
    nxt[id] = new; touched = 1
    return new
}
function drop(id,    i, j) {
    for (i = 1; i <= last_id; i++) for (j = 1; j <= jumps[i]; j++) if (target[i, j] == id) target[i, j] = next_auth(id) ? next_auth(id) : -1
    raw[id] = "# medsec: " raw[id]; auth[id] = 0; jumps[id] = 0; touched = 1
}
function place(id,    at, position) {  # position among the modules; -1 is the end
    position = 0
    for (at = head; at; at = nxt[at]) { if (at == id) return position; if (auth[at]) position += weight[at] }
    return position
}
function set_control(id, control,    old) {
    old = control_of(raw[id])
    raw[id] = swap(raw[id], old, control); touched = 1
}
function swap(line, old, new,    at) {
    at = index(line, old)
    return at ? substr(line, 1, at - 1) new substr(line, at + length(old)) : line
}
function set_answer(id, answer, value,    control, pairs, n, i, part, out) {
    control = control_of(raw[id]); out = ""
    n = split(trim(substr(control, 2, length(control) - 2)), pairs, /[ \t]+/)
    for (i = 1; i <= n; i++) {
        split(pairs[i], part, "=")
        out = out (i > 1 ? " " : "") part[1] "=" (part[1] == answer ? value : part[2])
    }
    if ("[" out "]" != control) set_control(id, "[" out "]")
}
function renumber(    id, j, distance) {
    for (id = 1; id <= last_id; id++) {
        if (!auth[id]) continue
        for (j = 1; j <= jumps[id]; j++) {
            if (target[id, j] == -2) continue
            distance = place(target[id, j]) - place(id) - 1
            set_answer(id, key[id, j], distance > 0 ? distance : "ignore")
        }
    }
}

# ---- what a login stack needs ---------------------------------------------------------------------------------
function settle_auth(file,    id, first, final, pre, fail, permit, control, j, stop, follower) {
    load(file)
    first = final = pre = fail = 0
    for (id = head; id; id = nxt[id]) if (auth[id] && is_password(module_of(raw[id]))) { if (!first) first = id; final = id }
    if (!first) return
    for (id = head; id; id = nxt[id]) {
        if (!auth[id] || phase(raw[id]) == "") continue
        control = control_of(raw[id])
        if (phase(raw[id]) == "preauth") {
            if (!pre && place(id) < place(first) && action(control, "success") == "ok" && action(control, "auth_err") ~ /^(die|bad)$/) pre = id
            else drop(id)
        } else if (phase(raw[id]) == "authfail") {
            if (place(id) < place(first)) drop(id)
            else if (!fail && place(id) > place(final)) fail = id
        }
    }
    follower = next_auth(final)
    control = control_of(raw[final])
    if (action(control, "success") !~ /^(done|[0-9]+)$/) {
        # The stack goes on after a right password: it must pass authfail by, and keep its success.
        for (id = next_auth(final); id; id = stop) { stop = next_auth(id); if (phase(raw[id]) == "authfail") drop(id) }
        set_control(final, "[success=1 default=ignore]")
        fail = insert_after(final, "auth\t[default=die]\t\t\tpam_faillock.so authfail")
        permit = insert_after(fail, "auth\trequired\t\t\tpam_permit.so")
        jumps[final] = 1; key[final, 1] = "success"; target[final, 1] = permit
    } else if (!fail) {
        fail = insert_after(final, "auth\t[default=die]\t\t\tpam_faillock.so authfail")
        for (id = 1; id <= last_id; id++) for (j = 1; j <= jumps[id]; j++)
            if (auth[id] && target[id, j] == follower && key[id, j] != "success" && !is_password(module_of(raw[id]))) target[id, j] = fail
    }
    if (!pre) {
        pre = insert_before(first, "auth\trequisite\t\t\tpam_faillock.so preauth")
        for (id = 1; id <= last_id; id++) for (j = 1; j <= jumps[id]; j++) if (target[id, j] == first) target[id, j] = pre
    }
    for (id = head; id; id = nxt[id]) {
        if (!auth[id] || phase(raw[id]) != "") continue
        if (is_password(module_of(raw[id]))) {
            # A wrong password must get as far as authfail.
            if (control_of(raw[id]) ~ /^\[/ && action(control_of(raw[id]), "auth_err") == "die") {
                set_answer(id, "auth_err", "ignore"); set_answer(id, "default", "ignore")
            } else if (control_of(raw[id]) == "requisite") set_control(id, "required")
            for (j = 1; j <= jumps[id]; j++) if (key[id, j] != "success" && target[id, j] > 0 && place(target[id, j]) > place(fail)) {
                set_answer(id, key[id, j], "ignore"); target[id, j] = -2
            }
            continue
        }
        if (is_proof(module_of(raw[id])) || module_of(raw[id]) ~ /^pam_(permit|deny)$/) continue
        for (j = 1; j <= jumps[id]; j++) {
            if (target[id, j] == -2) continue
            stop = target[id, j] == -1 ? 100000 : place(target[id, j])
            if ((place(id) < place(pre) && stop > place(pre) && stop <= place(final)) ||
                (place(id) > place(first) && place(id) < place(fail) && stop > place(fail))) { drop(id); break }
        }
    }
    renumber()
    if (touched) store(file)
}
function store(file,    id, n) {
    n = 0
    for (id = head; id; id = nxt[id]) text[file, ++n] = raw[id]
    lines[file] = n; changed[file] = 1; structure = 1
}
# The account side takes the count back after a login that succeeded.
function settle_account(file,    i, at, found) {
    found = at = 0
    for (i = 1; i <= lines[file]; i++) {
        if (body(text[file, i]) ~ /^[ \t]*-?account[ \t].*pam_faillock/) found = 1
        if (!at && body(text[file, i]) ~ /^[ \t]*-?account[ \t]/) at = i
    }
    if (found || !at || succeeded) return
    for (i = lines[file]; i >= at; i--) text[file, i + 1] = text[file, i]
    text[file, at] = "account\trequired\t\t\tpam_faillock.so"
    lines[file]++; changed[file] = 1; structure = 1
}

# ---- values ---------------------------------------------------------------------------------------------------
function short(name, value) {
    if (value == "never") value = 0
    if (name == "deny") return value + 0 == 0 || value + 0 > deny
    if (name == "unlock_time") return value + 0 < least_unlock
    if (name == "fail_interval") return value + 0 < least_interval
    if (name == "root_unlock_time") return value + 0 < least_root
    return 0
}
# Whether failures can be counted in a folder, or it can be made.
function usable(folder) {
    if (folder !~ /^\/[A-Za-z0-9_.\/-]+$/) return 0
    return system("f=" folder "; if [ -d $f ]; then test -w $f; else [ ! -e $f ] && [ -d ${f%/*} ] && [ -w ${f%/*} ]; fi") == 0
}
function read_setting(line) {
    line = trim(body(line))
    if (line == "") return 0
    name = line; value = ""
    if (match(line, /[ \t=]/)) { name = substr(line, 1, RSTART - 1); value = substr(line, RSTART + 1); gsub(/^[ \t=]+/, "", value) }
    return 1
}
# The options of one pam_faillock line: those that weaken go; what it lacks is asked of the main file.
function settle_options(file, i,    words, n, w, part, line, has_root, seen) {
    line = text[file, i]
    n = split(body(line), words, /[ \t]+/)
    has_root = 0
    for (w in seen) delete seen[w]
    for (w = 1; w <= n; w++) {
        split(words[w], part, "=")
        if (part[1] == "even_deny_root") has_root = 1
        if (part[1] == "dir" && !usable(part[2])) { sub("[ \t]+" words[w] "([ \t]|$)", " ", line); continue }
        if (part[1] == "conf" && weak_conf(part[2])) { sub("[ \t]+" words[w] "([ \t]|$)", " ", line); continue }
        if (words[w] ~ /^(deny|unlock_time|fail_interval|root_unlock_time)=/) {
            if (short(part[1], part[2])) sub("[ \t]+" words[w] "([ \t]|$)", " ", line)
            else { seen[part[1]] = 1; if (part[1] == "root_unlock_time") has_root = 1 }
        }
    }
    if (line != text[file, i]) { sub(/[ \t]+$/, "", line); text[file, i] = line; changed[file] = 1 }
    if (line ~ /[ \t]conf=/) return
    for (w = 1; w <= 3; w++) {
        part[1] = w == 1 ? "deny" : (w == 2 ? "unlock_time" : "fail_interval")
        if (!(part[1] in seen) && (part[1] in conf) && short(part[1], conf[part[1]])) need[part[1]] = 1
    }
    if (!("root_unlock_time" in seen)) {
        if ("root_unlock_time" in conf) { if (short("root_unlock_time", conf["root_unlock_time"])) need["root_unlock_time"] = 1 }
        else if (!has_root && !("even_deny_root" in conf)) { need["even_deny_root"] = 1; need["root_unlock_time"] = 1 }
    }
}
function weak_conf(path,    line, found, weak) {
    if (path == main) return 0
    found = weak = 0
    while ((getline line < path) > 0) {
        if (!read_setting(line)) continue
        if (name == "even_deny_root" || name == "root_unlock_time") found = 1
        if (short(name, value)) weak = 1
    }
    close(path)
    return weak || !found
}
FILENAME != current { current = FILENAME; order[++count] = FILENAME; lines[FILENAME] = 0 }
# The lines for the accounts that are spared stand at the top and are no part of what follows; see stanza.
FNR == 1 { held = "" }
held == "" && /^auth[ \t]+\[success=ignore default=1\][ \t]+pam_succeed_if\.so quiet user in [a-z0-9_:-]+[ \t]*$/ { held = $0; next }
held != "" && /^auth[ \t]+sufficient[ \t]+pam_unix\.so[ \t]*$/ { kept[FILENAME] = held "\n" $0 "\n"; had[FILENAME] = trim_accounts(held); held = ""; next }
held != "" { text[FILENAME, ++lines[FILENAME]] = held; held = "" }
{ text[FILENAME, ++lines[FILENAME]] = $0 }

END {
    if (present == "") { order[++count] = main; lines[main] = 0 }
    for (i = 1; i <= lines[main]; i++) if (read_setting(text[main, i])) {
        if (name == "dir" && !usable(value)) { text[main, i] = "# medsec: " text[main, i]; changed[main] = 1 }
        else conf[name] = value
    }
    for (f = 1; f <= count; f++) if (order[f] ~ /^\/etc\/pam\.d\// && order[f] != "/etc/pam.d/common-account") settle_auth(order[f])
    profiles = "false"
    if (debian == "true" && changed["/etc/pam.d/common-auth"]) profiles = "true"
    succeeded = 1
    for (f = 1; f <= count; f++) if (order[f] == "/etc/pam.d/common-account") {
        succeeded = 0
        for (i = 1; i <= lines["/etc/pam.d/common-auth"]; i++) if (phase(text["/etc/pam.d/common-auth", i]) == "authsucc") succeeded = 1
    }
    if (structure) settle_account("/etc/pam.d/common-account")
    for (f = 1; f <= count; f++) if (order[f] ~ /^\/etc\/pam\.d\//)
        for (i = 1; i <= lines[order[f]]; i++) if (is_auth(text[order[f], i]) && module_of(text[order[f], i]) == "pam_faillock") settle_options(order[f], i)
    for (n in need) any = 1
    if (any || structure) {
        # Where something has to be set anyway, what is left to pam_faillock itself is written down as well.
        split("deny unlock_time fail_interval", names, " ")
        for (n = 1; n <= 3; n++) if (!(names[n] in conf)) need[names[n]] = 1
    }
    value_for["deny"] = deny; value_for["unlock_time"] = unlock; value_for["fail_interval"] = interval
    value_for["even_deny_root"] = ""; value_for["root_unlock_time"] = root_unlock
    n = split("deny unlock_time fail_interval even_deny_root root_unlock_time", names, " ")
    for (k = 1; k <= n; k++) if (names[k] in need) { wanted = names[k]; put_line(wanted, value_for[wanted]) }
    for (f = 1; f <= count; f++) if (wanted_in(order[f]) != had[order[f]]) changed[order[f]] = 1
    printf "{\"profiles\": %s, \"authselect\": %s, \"files\": {", profiles, authselect
    separator = ""
    for (f = 1; f <= count; f++) if (changed[order[f]]) {
        out = ""
        for (i = 1; i <= lines[order[f]]; i++) {
            if (i == 1 && text[order[f], 1] !~ /^#%PAM/) out = stanza(order[f])
            out = out text[order[f], i] "\n"
            if (i == 1 && text[order[f], 1] ~ /^#%PAM/) out = out stanza(order[f])
        }
        printf "%s%s: %s", separator, json(order[f]), json(out); separator = ", "
    }
    print "}}"
}
# At the top, before what pam-auth-update writes: the right password of these accounts is enough, whatever was counted.
function stanza(file) {
    if (wanted_in(file) == "") return ""
    if (wanted_in(file) == had[file]) return kept[file]
    return "auth\t[success=ignore default=1]\tpam_succeed_if.so quiet user in " spared "\nauth\tsufficient\t\t\tpam_unix.so\n"
}
function wanted_in(file,    i) {
    if (spared == "-" || file !~ /^\/etc\/pam\.d\//) return ""
    for (i = 1; i <= lines[file]; i++) if (is_auth(text[file, i]) && module_of(text[file, i]) == "pam_unix") return spared
    return ""
}
function trim_accounts(line) { line = trim(line); sub(/.*[ \t]/, "", line); return line }
function put_line(wanted, given,    i, line, found) {
    line = wanted (given == "" ? "" : " = " given); found = 0
    for (i = 1; i <= lines[main]; i++) if (read_setting(text[main, i]) && name == wanted) {
        if (text[main, i] != line) { text[main, i] = line; changed[main] = 1 }
        found = 1
    }
    if (!found) { text[main, ++lines[main]] = line; changed[main] = 1 }
}
' $present $files
