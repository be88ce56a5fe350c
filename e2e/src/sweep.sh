# Removes the folder $1 and the control group $2 when standard input ends, which is when the process
# at the other end of the pipe is gone, however it ended. Ctrl-C in a terminal must not end this
# before its work.
trap '' INT TERM HUP
cat >/dev/null
# The parts of the cluster are killed at the same moment, and may still write while they die.
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=
    for group in "/sys/fs/cgroup/$2" /sys/fs/cgroup/*/"$2"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    [ "$left" ] || { rm -rf "$1" 2>/dev/null && exit; }
    sleep 0.2
done
