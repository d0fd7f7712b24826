package modbus

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"sitewatch/edge"
)

// Profile says what a device's inputs and registers mean. It is data: README.md has the format.
type Profile struct {
	Name    string   `yaml:"name"`
	Aliases []string `yaml:"aliases"`
	Title   string   `yaml:"title"`
	// Contacts: the site says what each point is for; a zone's own kind counts more than the profile's.
	Contacts bool          `yaml:"contacts"`
	Priority Priority      `yaml:"priority"`
	Debounce time.Duration `yaml:"debounce"`
	Timeout  time.Duration `yaml:"timeout"`
	Blocks   []Block       `yaml:"blocks"`
}

// Priority says which slaves are asked first on a busy line.
type Priority string

const (
	High   Priority = "high"
	Normal Priority = "normal"
)

// Block is one request.
type Block struct {
	FC     FC            `yaml:"fc"`
	Start  int           `yaml:"start"`
	Count  int           `yaml:"count"`
	Base   int           `yaml:"base"` // what the device's manual calls the first one: 0 or 1
	Poll   time.Duration `yaml:"poll"`
	Decode Decoding      `yaml:"decode"`
	Number int           `yaml:"number"` // each input or register is a point, numbered from here; 0: only those in Points
	Absent *Match        `yaml:"absent"` // a register that says: nothing is connected here
	States []Meaning     `yaml:"states"` // of every register without States of its own
	Points []Point       `yaml:"points"`
}

// Decoding is how points are read.
type Decoding string

const (
	Bits     Decoding = "bits"     // inputs, or bits of registers
	Enum     Decoding = "enum"     // registers with a code
	Compare  Decoding = "compare"  // registers with ranges
	Analogue Decoding = "analogue" // registers with the bands of a loop with end-of-line resistors
)

// Point is one input, register or bit of one.
type Point struct {
	Point  string    `yaml:"point"`
	At     *int      `yaml:"at"`  // as the manual counts
	Bit    *int      `yaml:"bit"` // of a register
	Kind   edge.Kind `yaml:"kind"`
	On     string    `yaml:"on"` // SIA codes
	Off    string    `yaml:"off"`
	Text   string    `yaml:"text"`
	Invert bool      `yaml:"invert"` // active at 0
	States []Meaning `yaml:"states"`
}

// Match is true of a register when what Mask leaves of it is Is, or from From to To.
type Match struct {
	Bit  *int    `yaml:"bit"` // short for a mask and an Is of one bit
	Mask *uint16 `yaml:"mask"`
	Is   *uint16 `yaml:"is"`
	From *uint16 `yaml:"from"`
	To   *uint16 `yaml:"to"`
}

// Meaning is what a register says when it matches. Several of one kind are one condition: any of them makes it active.
type Meaning struct {
	Match `yaml:",inline"`
	Kind  edge.Kind `yaml:"kind"`
	On    string    `yaml:"on"`
	Off   string    `yaml:"off"`
	Text  string    `yaml:"text"` // {n} is the register
	Hold  bool      `yaml:"hold"` // as long as it matches, nothing is known of the others
}

//go:embed profiles/*.yaml
var profileFiles embed.FS

// builtIn are the profiles in profiles/, by name and alias.
var builtIn = sync.OnceValue(func() map[string]*Profile {
	m := map[string]*Profile{}
	entries, err := profileFiles.ReadDir("profiles")
	if err != nil {
		panic("modbus: " + err.Error())
	}
	for _, e := range entries {
		b, err := profileFiles.ReadFile("profiles/" + e.Name())
		if err != nil {
			panic("modbus: " + err.Error())
		}
		p, wrong := parseProfile(b)
		if len(wrong) > 0 {
			panic("modbus: profiles/" + e.Name() + ": " + strings.Join(wrong, "; "))
		}
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			if m[name] != nil {
				panic("modbus: two profiles are called " + name)
			}
			m[name] = p
		}
	}
	return m
})

// profileNames are the built-in names without aliases.
func profileNames() []string {
	var out []string
	for name, p := range builtIn() {
		if name == p.Name {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

const maxProfileBytes = 256 << 10

// findProfile returns the built-in profile of that name, or reads the file that name is the absolute path of.
func findProfile(name string) (p *Profile, wrong []string, hint string) {
	if p := builtIn()[name]; p != nil {
		return p, nil, ""
	}
	known := "known are " + strings.Join(profileNames(), ", ") + ", or the path of a file of your own: /etc/sitewatch/....yaml"
	if !strings.HasPrefix(name, "/") {
		return nil, []string{fmt.Sprintf("no profile is called %q", name)}, known
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, []string{err.Error()}, known
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProfileBytes+1))
	if err != nil || len(b) > maxProfileBytes {
		return nil, []string{fmt.Sprintf("%s cannot be read, or is over %d bytes (%v)", name, maxProfileBytes, err)}, known
	}
	p, wrong = parseProfile(b)
	return p, wrong, "correct the profile; drivers/modbus/README.md has its format"
}

// parseProfile reads a profile and says all that is wrong with it.
func parseProfile(b []byte) (*Profile, []string) {
	var p Profile
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&p); err != nil {
		return nil, []string{oneLine(yaml.FormatError(err, false, false))}
	}
	if wrong := p.check(); len(wrong) > 0 {
		return nil, wrong
	}
	return &p, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
