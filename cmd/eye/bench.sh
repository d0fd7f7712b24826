#!/bin/bash
# What movement costs and how well it is found: the eye beside Debian's motion and beside decoding everything, in one run.
# Usage: bench.sh BIN FOOTAGE. FOOTAGE has MP4 files, ground_truth.csv and score.py. Prints a markdown table. motion reads files as
# fast as they were filmed, all at once, so this takes as long as the longest of them.
set -euo pipefail
bin=$(realpath "$1") footage=$2
[ -d "$footage" ] || { echo "no footage in $footage: FOOTAGE=DIR names a folder of MP4 files with ground_truth.csv and score.py"; exit 0; }
footage=$(realpath "$footage")
work=$(mktemp -d)
trap 'jobs -p | xargs -r kill 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
TIMEFORMAT='%U %S'
length() { ffprobe -v error -show_entries format=duration -of csv=p=0 "$1"; }
# perminute CPU... < "user sys" lines, SECONDS: CPU seconds a minute of film
perminute() { awk -v s="$1" '{c += $1 + $2} END {printf "%.2f", 60 * c / s}'; }

# A quiet scene as a camera with variable bit rate sends it, and a main stream of 1080p.
first=$(ls "$footage"/office_long.mp4 2>/dev/null || ls "$footage"/*.mp4 | head -1)
ffmpeg -v error -stream_loop 3 -t 45 -i "$first" -an -vf scale=640:360 -threads 1 -c:v libx264 -preset veryfast -crf 26 -bf 0 -g 20 "$work/once.mp4"
ffmpeg -v error -stream_loop 3 -i "$work/once.mp4" -c copy "$work/quiet.mp4"
ffmpeg -v error -t 45 -i "$first" -an -vf scale=1920:1080,fps=15 -threads 1 -c:v libx264 -preset veryfast -b:v 2M -bf 0 -g 30 "$work/large.mp4"
ffmpeg -v error -stream_loop 3 -i "$work/large.mp4" -c copy "$work/main.mp4"

# startmotion FILE PASSTHROUGH: runs motion over a film once.
startmotion() {
	local name dir s
	name=$(basename "$1" .mp4) && dir="$work/motion-$2/$name" && s=$(length "$1")
	mkdir -p "$dir/out"
	cat >"$dir/motion.conf" <<-EOF
		daemon off
		setup_mode off
		log_file $dir/log
		netcam_url file://$1
		width 320
		height 180
		framerate 5
		threshold_tune on
		noise_tune on
		minimum_motion_frames 1
		event_gap 2
		target_dir $dir/out
		picture_output off
		movie_output on
		movie_passthrough $2
		webcontrol_port 0
		stream_port 0
		on_event_start echo start \$(date +%%s.%%N) >>$dir/events
		on_event_end echo end \$(date +%%s.%%N) >>$dir/events
	EOF
	date +%s.%N >"$dir/began"
	{ time timeout -s INT "$(awk -v s="$s" 'BEGIN {print s + 0.5}')" motion -n -c "$dir/motion.conf" >/dev/null 2>"$dir/err" || true; } 2>"$dir/time"
}
echo "motion looks at $(ls "$footage"/*.mp4 | wc -l) films; this takes as long as the longest" >&2
for passthrough in on off; do
	for f in "$footage"/*.mp4 "$work/quiet.mp4"; do startmotion "$f" $passthrough & done
done
wait

total=0
for f in "$footage"/*.mp4; do total=$(awk -v a="$total" -v b="$(length "$f")" 'BEGIN {print a + b}'); done
# reports DIR: what motion told, in the films' own time. It is up about half a second after it began; an event ends event_gap late.
reports() {
	python3 - "$1" <<-'EOF'
		import sys, os, json
		out = {}
		for name in sorted(os.listdir(sys.argv[1])):
		    d = os.path.join(sys.argv[1], name)
		    t0 = float(open(d + '/began').read()) + 0.5
		    spans = []
		    if os.path.exists(d + '/events'):
		        for line in open(d + '/events'):
		            what, at = line.split()
		            at = float(at) - t0
		            if what == 'start': spans.append([at, at + 1, at])
		            elif spans: spans[-1][1] = max(spans[-1][0], at - 2)
		    if name != 'quiet': out[name + '.mp4'] = spans
		json.dump(out, sys.stdout)
	EOF
}
quality() { python3 "$footage/score.py" "$1" "$footage/ground_truth.csv" --dur "$footage" --md | grep TOTAL | awk -F'|' '{print $3 "|" $4 "|" $5 "|" $7 "|" $8 "|" $9}'; }

echo "| | found | delay, median s | worst s | false | false/h | quiet time under a report, % | CPU s a camera-minute | quiet VBR |"
echo "|---|---|---|---|---|---|---|---|---|"
for passthrough in on off; do
	reports "$work/motion-$passthrough" >"$work/motion.json"
	rm -f "$work/all"
	for d in "$work/motion-$passthrough"/*/; do [ "$(basename "$d")" = quiet ] || cat "$d/time" >>"$work/all"; done
	echo "| motion, 320x180, 5 fps, passthrough $passthrough |$(quality "$work/motion.json")| $(perminute "$total" <"$work/all") | $(perminute "$(length "$work/quiet.mp4")" <"$work/motion-$passthrough/quiet/time") |"
done
rm -f "$work/all"
for f in "$footage"/*.mp4; do { time ffmpeg -v error -threads 1 -i "$f" -an -f null - 2>/dev/null; } 2>>"$work/all"; done
{ time ffmpeg -v error -threads 1 -i "$work/quiet.mp4" -an -f null -; } 2>"$work/quiet"
echo "| ffmpeg, decoding only | - | - | - | - | - | - | $(perminute "$total" <"$work/all") | $(perminute "$(length "$work/quiet.mp4")" <"$work/quiet") |"
cost() { "$bin/gateway" eye score --grade "$1" "$2" | sed -n '1s/.*, \([0-9.]*\) CPU.*/\1/p'; }
for grade in alert watching; do
	"$bin/gateway" eye score --grade $grade --json "$footage"/*.mp4 >"$work/eye.json"
	cpu=$("$bin/gateway" eye score --grade $grade --markdown --truth "$footage/ground_truth.csv" "$footage"/*.mp4 | awk -F'|' '{print $(NF - 1)}')
	echo "| eye, $grade |$(quality "$work/eye.json")|$cpu| $(cost $grade "$work/quiet.mp4") |"
done
echo
echo "1080p at 15 a second, no sub stream: watching $(cost watching "$work/main.mp4"), alert $(cost alert "$work/main.mp4") CPU s a camera-minute."
