package evidence

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"sitewatch/edge"
)

//go:embed VERIFY.txt
var guideText string

// guide is VERIFY.txt: for a person who has never seen this before.
func guide(h *Header, cas [][]byte) []byte {
	var prints bytes.Buffer
	for _, der := range cas {
		fmt.Fprintf(&prints, "    %s\n", edge.Fingerprint(der))
	}
	return []byte(strings.NewReplacer("{site}", string(h.Site), "{from}", stamp(h.From), "{to}", stamp(h.To), "{made}", stamp(h.Made), "{by}", h.By,
		"{prints}\n", prints.String()).Replace(guideText))
}

func seqText(s edge.Seq) string { return strconv.FormatUint(uint64(s), 10) }
