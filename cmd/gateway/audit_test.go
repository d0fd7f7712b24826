package main

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	_ "github.com/mattn/go-sqlite3" // to read the box's journal
)

// settled waits until the SOC has all that the panel was acked for, and every clip has come to its end.
func (x *torture) settled(limit time.Duration) {
	x.t.Helper()
	x.healthy("http://" + x.http + "/healthz")
	x.healthy("http://" + x.local + "/healthz")
	said := x.panel.said()
	x.until("the SOC has the last event that was acked", limit, func() bool {
		if len(said) == 0 {
			return true
		}
		at := map[string]bool{}
		for _, e := range x.events() {
			at[e.Raw] = true
		}
		urgent, routine := true, true
		for _, b := range said[max(0, len(said)-10):] {
			if b.lane == "urgent" {
				urgent = at[hex.EncodeToString(b.raw)]
			} else {
				routine = at[hex.EncodeToString(b.raw)]
			}
		}
		return urgent && routine
	})
	open := map[string]bool{} // clips whose end is not known yet
	for _, e := range x.events() {
		for _, id := range e.Clips {
			open[id] = true
		}
	}
	x.until("every clip is ready or lost", limit, func() bool {
		for id := range open {
			var c socClip
			if x.get("/clips/"+id, &c) != nil || (c.State != "ready" && c.State != "lost") {
				return false
			}
			delete(open, id)
		}
		return true
	})
}

// audit compares what the panel was acked for with what the SOC has, and both sides' clips with their files. It says how many
// events are lost and how many are there twice; anything else that is wrong is an error too.
func (x *torture) audit() (lost, twice int) {
	x.t.Helper()
	all := x.events()
	at := map[string][]socEvent{}
	last := map[string]int64{} // by journal and lane
	for _, e := range all {
		if e.Raw != "" {
			at[e.Raw] = append(at[e.Raw], e)
		}
		if e.Journal == "soc" {
			continue
		}
		key := e.Journal + " " + e.Lane
		if e.Seq <= last[key] {
			x.t.Errorf("event %d of the lane %s came after %d", e.Seq, e.Lane, last[key])
		}
		last[key] = e.Seq
		if e.Kind == "events-lost" {
			x.t.Errorf("the box says that events are lost: %s", e.Why)
		}
	}
	before := map[string]int64{} // by lane: seq of the alarm that the panel was acked for before
	for i, b := range x.panel.said() {
		got := at[hex.EncodeToString(b.raw)]
		switch {
		case len(got) == 0:
			lost++
			x.t.Errorf("block %d, %q, was acked to the panel and is not at the SOC", i, b.raw)
			continue
		case len(got) > 1:
			twice++
			x.t.Errorf("block %d, %q, is at the SOC %d times: %+v", i, b.raw, len(got), got)
		}
		if got[0].Lane != b.lane {
			x.t.Errorf("block %d, %q, went by the lane %s, want %s", i, b.raw, got[0].Lane, b.lane)
		}
		if got[0].Seq <= before[b.lane] {
			x.t.Errorf("block %d, %q, is event %d, the one acked before it is %d", i, b.raw, got[0].Seq, before[b.lane])
		}
		before[b.lane] = got[0].Seq
	}
	x.gapless()
	x.socFiles(all)
	return lost, twice
}

// complete is what the SOC knows to have, and to lack, of one journal.
type complete struct {
	Journal  string
	Last     int64
	Complete bool
	Missing  []struct {
		From, To int64
		Reason   string
	}
	Conflicts []struct {
		Seq    int64
		Reason string
	}
}

// gaps asks the SOC what it lacks.
func (s *site) gaps() []complete {
	s.t.Helper()
	var all []complete
	for after := int64(0); ; {
		var page struct {
			Items []complete
			Next  int64
		}
		if err := s.get(fmt.Sprintf("/sites/0417/gaps?after=%d", after), &page); err != nil {
			s.t.Error(err)
			return all
		}
		for i, j := range page.Items {
			if after == 0 {
				all = append(all, j)
				continue
			}
			all[i].Missing, all[i].Conflicts = append(all[i].Missing, j.Missing...), append(all[i].Conflicts, j.Conflicts...)
		}
		if after = page.Next; after == 0 {
			return all
		}
	}
}

// gapless: the SOC itself says that it misses nothing of the box's one journal.
func (x *torture) gapless() {
	x.t.Helper()
	known := x.gaps()
	if len(known) != 1 || !known[0].Complete || len(known[0].Missing) > 0 || len(known[0].Conflicts) > 0 {
		x.t.Errorf("the SOC has %+v, want one journal, complete and without conflicts", known)
	}
}

// socFiles: each ready clip at the SOC has its file, each lost one its reason, and there is no file that nothing names.
func (x *torture) socFiles(all []socEvent) {
	x.t.Helper()
	ready, total := 0, 0
	named := map[string]bool{}
	for _, e := range all {
		for _, id := range e.Clips {
			named[id] = true
			total++
			var c socClip
			if err := x.get("/clips/"+id, &c); err != nil {
				x.t.Error(err)
			} else if c.State == "lost" && c.Reason == "" {
				x.t.Errorf("clip %s is lost without a reason", id)
			} else if c.State == "ready" {
				ready++
				if fi, err := os.Stat(filepath.Join(x.dir, "soc", "clips", "0417", id+".mp4")); err != nil || fi.Size() != c.Bytes {
					x.t.Errorf("clip %s is ready and its file is %v, %v", id, fi, err)
				}
			}
		}
	}
	if total > 0 && ready == 0 {
		x.t.Error("no clip survived")
	}
	files, err := os.ReadDir(filepath.Join(x.dir, "soc", "clips", "0417"))
	if err != nil && total > 0 {
		x.t.Error(err)
	}
	for _, f := range files {
		id, _, _ := strings.Cut(f.Name(), ".")
		if !named[id] {
			x.t.Errorf("%s at the SOC belongs to no event", f.Name())
		}
	}
	x.t.Logf("%d of %d clips ready at the SOC", ready, total)
}

// leaks stops the box in order and looks at what it has left: rows and files of clips must fit, the chain must hold, nothing
// temporary may lie about, and no process of it may live. Before that, kills of the box must not have cost the SOC anything.
func (x *torture) leaks() {
	x.t.Helper()
	soc := x.procs["soc"].Process.Pid
	before := fds(soc)
	for range 10 {
		eyes := children(x.procs["gateway"].Process.Pid)
		<-time.After(200 * time.Millisecond)
		x.slay("gateway")
		x.gone(eyes)
		x.live("gateway", "")
	}
	x.healthy("http://" + x.local + "/healthz")
	x.until("the SOC has closed what the dead boxes had open", 30*time.Second, func() bool { return fds(soc) <= before+4 })
	if n := fds(x.procs["gateway"].Process.Pid); n > 100 {
		x.t.Errorf("the gateway has %d files open", n)
	}
	x.until("no clip is wanted any more", time.Minute, func() bool { return x.journal(`select count(*) from clips where state in ('wanted', 'cutting')`) == 0 })
	gw := x.procs["gateway"]
	eyes := children(gw.Process.Pid)
	gw.Process.Signal(syscall.SIGTERM)
	select {
	case <-gw.ended:
	case <-time.After(30 * time.Second):
		x.t.Error("the gateway does not stop")
	}
	delete(x.procs, "gateway")
	x.gone(eyes)
	if out := x.output("gateway", "verify", "--config", x.dir+"/gateway.yaml"); !strings.Contains(out, "follows") {
		x.t.Errorf("verify says %q", out)
	}
	x.boxFiles()
}

// boxFiles compares the rows of clips with the files, both ways.
func (x *torture) boxFiles() {
	x.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(x.dir, "gateway", "journal.db")+"?_query_only=on")
	if err != nil {
		x.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`select still_file, still_bytes from clips where still_file is not null
		union all select clip_file, clip_bytes from clips where clip_file is not null`)
	if err != nil {
		x.t.Fatal(err)
	}
	defer rows.Close()
	want := map[string]int64{}
	for rows.Next() {
		var name string
		var size int64
		if err := rows.Scan(&name, &size); err != nil {
			x.t.Fatal(err)
		}
		want[name] = size
	}
	if err := rows.Err(); err != nil {
		x.t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(x.dir, "gateway", "clips"))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if size, ok := want[f.Name()]; !ok {
			x.t.Errorf("file %s of the box has no row", f.Name())
		} else if err != nil || fi.Size() != size {
			x.t.Errorf("file %s of the box is %v, %v, want %d bytes", f.Name(), fi, err, size)
		}
		delete(want, f.Name())
	}
	for name := range want {
		x.t.Errorf("a row of the box names %s, which is not there", name)
	}
	known := regexp.MustCompile(`^(journal\.(db|db-wal|db-shm|lock|reserve|mark)|clips|identity|segments|eye|lost\+found)$`)
	entries, err := os.ReadDir(filepath.Join(x.dir, "gateway"))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range entries {
		if !known.MatchString(e.Name()) {
			x.t.Errorf("%s lies about in the box's data", e.Name())
		}
	}
}

// journal asks the box's journal for one number; -1 while it cannot be read.
func (x *torture) journal(query string) (n int) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(x.dir, "gateway", "journal.db")+"?_query_only=on&_busy_timeout=2000")
	if err != nil {
		return -1
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		return -1
	}
	return n
}

// gone waits until the processes have ended.
func (x *torture) gone(pids []int) {
	x.t.Helper()
	x.until("the eyes of a dead gateway have ended", 10*time.Second, func() bool {
		for _, pid := range pids {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				return false
			}
		}
		return true
	})
}

// fds is how many files a process has open.
func fds(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(entries)
}
