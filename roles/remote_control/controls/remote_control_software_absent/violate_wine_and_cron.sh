#!/bin/sh
# expect: NetEase UU Remote: launch
# A Windows client run under Wine from a user's cron table and his login script (a stand-in: nothing but the names is there).
set -eu
printf '@reboot wine "/home/admin/.wine/drive_c/Program Files/Netease/GameViewer/GameViewer.exe"\n' | crontab -u admin -
printf '(wine /home/admin/.wine/drive_c/GameViewer/GameViewerServer.exe &)\n' >> /home/admin/.profile
