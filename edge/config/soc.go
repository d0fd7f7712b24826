package config

import (
	"bytes"
	"path/filepath"
	"strings"
	"time"
)

// LoadSOC reads and checks soc.yaml. What it returns is to be used as that of LoadGateway.
func LoadSOC(path string) (*SOC, []Problem) {
	b, problems := read(path)
	if len(problems) > 0 {
		return nil, problems
	}
	return parseSOC(path, b)
}

func parseSOC(file string, b []byte) (*SOC, []Problem) {
	root, problems := parse(file, bytes.Clone(b))
	if len(problems) > 0 {
		return nil, problems
	}
	r := newReader(file)
	if !r.root(root) {
		return nil, r.problems
	}
	s := defaultSOC()
	o := r.object(root, "", "data", "uplink", "http", "ledger", "clips", "heartbeat")
	o.directory("data", &s.Data)
	s.Clips = "file://" + filepath.Join(s.Data, "clips")
	if o.set("uplink", &s.Uplink) {
		if _, _, err := hostPort(s.Uplink); err != nil {
			r.bad("uplink", err.Error(), "write it like 0.0.0.0:7443")
		}
	}
	if o.set("http", &s.HTTP) {
		o.loopback("http", s.HTTP, defaultSOC().HTTP, "the console has no accounts and no TLS yet: listen on 127.0.0.1:8080 and put both in front of it")
	}
	o.ledger(&s.Ledger)
	o.clipStore(&s.Clips)
	if o.duration("heartbeat", &s.Heartbeat) && (s.Heartbeat < 2*time.Second || s.Heartbeat > time.Minute) {
		r.bad("heartbeat", s.Heartbeat.String()+" is out of range", "use 2s to 1m; 10s suits most lines")
	}
	s.source = r.source
	SortProblems(r.problems)
	return s, r.problems
}

// ledger never repeats the value: a postgres address may hold a password.
func (o object) ledger(dst *string) {
	s, ok := o.text("ledger")
	switch {
	case !ok:
	case s == "sqlite":
		*dst = s
	case strings.HasPrefix(s, "postgres://"), strings.HasPrefix(s, "postgresql://"):
		o.r.bad("ledger", "a PostgreSQL ledger is not built yet", "use sqlite")
	default:
		o.r.bad("ledger", "is unknown", "use sqlite")
	}
}

func (o object) clipStore(dst *string) {
	s, ok := o.text("clips")
	const hint = "use file:///var/lib/sitewatch-soc/clips"
	dir, file := strings.CutPrefix(s, "file://")
	switch {
	case !ok:
	case strings.HasPrefix(s, "s3://"):
		o.r.bad("clips", "an S3 store is not built yet", hint)
	case !file:
		o.r.bad("clips", "is no file:// address", hint)
	case !filepath.IsAbs(dir):
		o.r.bad("clips", "is no absolute directory", hint)
	case strings.ContainsAny(dir, "?#%"):
		o.r.bad("clips", "has ?, # or % in it", hint)
	default:
		*dst = s
	}
}
