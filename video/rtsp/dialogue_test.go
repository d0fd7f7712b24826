package rtsp

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/video/rtsptest"
)

var update = flag.Bool("update", false, "write testdata/*.dialogue anew")

func dialogueFile(name string) string { return filepath.Join("testdata", name+".dialogue") }

// The dialogues are what the cameras of the catalogue say: in fake time each recording is the same.
func TestDialoguesAreOfTheCatalogue(t *testing.T) {
	files := map[string]bool{}
	for _, b := range rtsptest.Catalogue() {
		var got string
		synctest.Test(t, func(t *testing.T) { got = b.Record(t.Context(), edge.NewSystemClock()).String() })
		files[dialogueFile(b.Name)] = true
		if *update {
			if err := os.WriteFile(dialogueFile(b.Name), []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(dialogueFile(b.Name))
		if err != nil {
			t.Fatalf("%v; go test -run Dialogue -update writes it", err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s says something else than its file; go test -run Dialogue -update writes it:\n%s", b.Name, diff)
		}
	}
	all, err := filepath.Glob(dialogueFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !files[name] {
			t.Errorf("%s is of no camera that is in the catalogue", name)
		}
	}
}
