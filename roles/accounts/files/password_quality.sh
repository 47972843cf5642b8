#!/bin/sh
# password_quality.sh MINLEN MINCLASS
# Reads the password side of PAM and prints, as one JSON object, what falls short. It changes nothing.
#   packages  whether pam_pwquality is what judges (or is to judge) passwords, so that its packages are needed
#   profile   whether Debian's own profile of it is switched off
#   files     path -> the content that the file should have
# What complies, whichever way, is not in the answer; of a file that falls short only the lines concerned differ.
# Files below /etc/authselect are left to authselect.
set -eu
export LC_ALL=C
minlen=$1
minclass=$2

main=/etc/security/pwquality.conf
files=
for file in /etc/pam.d/*; do
    case $file in *~ | *.dpkg-* | *.ucf-* | *.rpm* | *.bak | *.orig) continue ;; esac
    if [ ! -f "$file" ]; then continue; fi
    case $(readlink -f "$file") in /etc/authselect/*) continue ;; esac
    if grep -Eq '^[[:space:]]*-?password[[:space:]].*pam_(unix|sss|ldap|krb5|winbind|pwquality)' "$file"; then
        files="$files $file"
    fi
done
drop_ins=
for file in "$main".d/*.conf; do
    if [ -f "$file" ]; then drop_ins="$drop_ins $file"; fi
done
present=$main
if [ ! -f "$main" ]; then present=; fi
# shellcheck disable=SC2086  # lists of paths without blanks: PAM and libpwquality know no others
for file in $files $present; do
    if [ "$(tr -d '\000-\177' <"$file" | wc -c)" -gt 0 ] && ! iconv -f UTF-8 -t UTF-8 "$file" >/dev/null 2>&1; then
        echo "$file: holds bytes that are not UTF-8; convert it (iconv -t UTF-8) and run again" >&2
        exit 1
    fi
done

profile=false
if [ -f /usr/share/pam-configs/pwquality ] && [ -f /etc/pam.d/common-password ] &&
    ! grep -Eq '^[[:space:]]*-?password[[:space:]].*pam_(pwquality|cracklib|passwdqc)' /etc/pam.d/common-password; then
    profile=true
fi

# shellcheck disable=SC2086
awk -v profile="$profile" -v minlen="$minlen" -v minclass="$minclass" -v main="$main" -v present="$present" '
function json(text) {
    gsub(/\\/, "&&", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); gsub(/\r/, "\\r", text)
    gsub(/[\001-\010\013\014\016-\037]/, " ", text); gsub(/\n/, "\\n", text)
    return "\"" text "\""
}
# Whether a value of a setting falls short; a bare flag has the value "".
function short(key, value) {
    if (key == "minlen") return value + 0 < minlen
    if (key == "minclass") return value + 0 < minclass
    if (key ~ /^[dulo]credit$/) return value + 0 > 0
    if (key == "dictcheck" || key == "usercheck" || key == "enforcing") return value == "" ? 0 : value + 0 == 0
    return 0
}
function setting(text,    pair) {  # "key = value" of pwquality.conf into key and val
    sub(/#.*/, "", text); gsub(/^[ \t]+|[ \t\r]+$/, "", text)
    key = text; val = ""
    if (match(text, /[ \t=]/)) {
        key = substr(text, 1, RSTART - 1); val = substr(text, RSTART + 1)
        gsub(/^[ \t=]+/, "", val)
    }
    return key != ""
}
FILENAME != last { last = FILENAME; order[++count] = FILENAME; lines[FILENAME] = 0 }
{ text[FILENAME, ++lines[FILENAME]] = $0 }

# Whether the options (over the files) ask for each of the four classes by itself.
function four(conf,    names, i, value) {
    split("dcredit ucredit lcredit ocredit", names, " ")
    for (i = 1; i <= 4; i++) {
        value = (("o:" names[i]) in option) ? option["o:" names[i]] : conf[names[i]]
        if (value + 0 >= 0) return 0
    }
    return 1
}
function is_rule(line) { sub(/#.*/, "", line); return line ~ /^[ \t]*-?(password|@include)[ \t]/ }
function body(line) { sub(/#.*/, "", line); return line }
# Whether a rule may end or skip the rest of the stack, so that what follows is not reached.
function skips(rule) {
    return rule ~ /^[ \t]*-?password[ \t]+sufficient[ \t]/ || rule ~ /^[ \t]*-?password[ \t]+\[[^]]*=[ \t]*(done|[0-9])/
}
function strength(rule) { return rule ~ /pam_(pwquality|cracklib|passwdqc)(\.so)?([ \t]|$)/ }
function setter(rule) { return rule ~ /^[ \t]*-?password[ \t].*pam_(unix|sss|ldap|krb5|winbind)(\.so)?([ \t]|$)/ }

function settle_pam(file,    i, rule, guarded, skipped, top, out, line, changed, words, n, w, part, insert) {
    guarded = 0; skipped = 0; top = 0; changed = 0
    for (i = 1; i <= lines[file]; i++) {
        line = text[file, i]; rule = body(line)
        if (!is_rule(line)) continue
        if (!top) top = i
        if (strength(rule) && !skipped && !guarded &&
            rule ~ /^[ \t]*password[ \t]+(required|requisite|\[[^]]*default=(die|bad)[^]]*\])[ \t]/ && !skips(rule)) guarded = i
        if (!guarded && (skips(rule) || setter(rule) || rule ~ /@include|[ \t](include|substack)[ \t]/)) skipped = 1
    }
    insert = 0
    for (i = 1; i <= lines[file]; i++) if (setter(body(text[file, i]))) insert = !guarded
    if (insert && top > 1 && text[file, top - 1] ~ /^# here are the per-package modules/) top--
    out = ""
    for (i = 1; i <= lines[file]; i++) {
        line = text[file, i]; rule = body(line)
        if (insert && i == top) {
            out = out "password\trequisite\t\t\tpam_pwquality.so retry=3\n"; changed = 1
        }
        if (rule ~ /^[ \t]*-?password[ \t].*pam_pwquality/) {
            # Options on the line beat pwquality.conf: those that weaken go.
            n = split(rule, words, /[ \t]+/)
            for (w = 1; w <= n; w++) {
                split(words[w], part, "=")
                if (words[w] ~ /^[a-z]+=[-0-9]*$/ && short(part[1], part[2])) {
                    sub("[ \t]+" words[w] "([ \t]|$)", " ", line); changed = 1
                }
            }
            if (line != text[file, i]) sub(/[ \t]+$/, "", line)
        }
        if ((guarded || insert) && rule ~ /^[ \t]*-?password[ \t].*pam_unix(\.so)?([ \t]|$)/ && rule !~ /[ \t]use_authtok/) {
            # Without it pam_unix asks again, by itself, for a password that nobody checks.
            sub(/pam_unix(\.so)?/, "& use_authtok", line); changed = 1
        }
        fixed[file, i] = line
        out = out line "\n"
    }
    pam_insert[file] = insert
    if (changed) result[file] = out
}

END {
    # libpwquality reads the drop-ins first, then the main file: the last value read counts.
    for (f = 1; f <= count; f++) {
        file = order[f]
        if (file ~ /^\/etc\/pam\.d\//) continue
        for (i = 1; i <= lines[file]; i++) if (setting(text[file, i])) conf[key] = val
    }
    for (f = 1; f <= count; f++) {
        file = order[f]
        if (file !~ /^\/etc\/pam\.d\//) continue
        settle_pam(file)
        if (pam_insert[file]) guards[++guard_count] = "retry=3"
        for (i = 1; i <= lines[file]; i++)
            if (body(fixed[file, i]) ~ /^[ \t]*-?password[ \t].*pam_pwquality/) guards[++guard_count] = body(fixed[file, i])
    }
    # Another module guards each stack: nothing of pwquality is needed.
    if (!guard_count) { print "{\"packages\": false, \"profile\": false, \"files\": {}}"; exit }
    # What each pam_pwquality line asks for in the end: its options over the files.
    wanted["minlen"] = minlen; wanted["minclass"] = minclass
    wanted["dictcheck"] = wanted["usercheck"] = wanted["enforcing"] = 1
    wanted["dcredit"] = wanted["ucredit"] = wanted["lcredit"] = wanted["ocredit"] = 0
    n = split("minlen minclass dcredit ucredit lcredit ocredit dictcheck usercheck enforcing", names, " ")
    default_of["minlen"] = 8
    default_of["dictcheck"] = default_of["usercheck"] = default_of["enforcing"] = 1
    for (i = 1; i <= n; i++) in_files[names[i]] = (names[i] in conf) ? conf[names[i]] : default_of[names[i]] + 0
    for (g = 1; g <= guard_count; g++) {
        for (o in option) delete option[o]
        m = split(guards[g], words, /[ \t]+/)
        for (w = 1; w <= m; w++) { split(words[w], part, "="); option["o:" part[1]] = part[2] }
        for (i = 1; i <= n; i++) {
            value = (("o:" names[i]) in option) ? option["o:" names[i]] : in_files[names[i]]
            if (names[i] == "minclass" && four(in_files)) continue
            if (short(names[i], value)) need[names[i]] = 1
        }
        if (!("enforce_for_root" in conf) && !("o:enforce_for_root" in option)) need_root = 1
    }
    out = ""; changed = 0
    if (present != "") for (i = 1; i <= lines[main]; i++) {
        line = text[main, i]
        if (setting(line) && (key in need)) {
            line = key " = " wanted[key]
            done[key] = 1
        }
        if (line != text[main, i]) changed = 1
        out = out line "\n"
    }
    for (i = 1; i <= n; i++) if ((names[i] in need) && !(names[i] in done)) {
        out = out names[i] " = " wanted[names[i]] "\n"; changed = 1
    }
    if (need_root) { out = out "enforce_for_root\n"; changed = 1 }
    if (changed) result[main] = out
    printf "{\"packages\": true, \"profile\": %s, \"files\": {", profile
    separator = ""
    for (f = 1; f <= count; f++) if (order[f] in result && order[f] != main) {
        printf "%s%s: %s", separator, json(order[f]), json(result[order[f]]); separator = ", "
    }
    if (main in result) printf "%s%s: %s", separator, json(main), json(result[main])
    print "}}"
}
' $drop_ins $present $files
