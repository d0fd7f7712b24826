package edge

import (
	_ "embed"
	"encoding/csv"
	"strings"
	"sync"
)

//go:embed kinds.csv
var kindsCSV string

// kindTable is kinds.csv: what codes mean, and which Contact ID code says the same.
type kindTable struct {
	kinds map[string]Kind   // by SIA code
	cids  map[string]string // by SIA code: qualifier and event, "1130"
	cid   map[Kind]string   // likewise, of the first row with that kind
}

var kindsOf = sync.OnceValue(func() kindTable {
	rows, err := csv.NewReader(strings.NewReader(kindsCSV)).ReadAll()
	if err != nil {
		panic("edge: kinds.csv is broken: " + err.Error())
	}
	t := kindTable{map[string]Kind{}, map[string]string{}, map[Kind]string{}}
	for _, r := range rows[1:] {
		code, cid, kind := r[0], r[1], Kind(r[2])
		t.kinds[code] = kind
		if cid == "" {
			continue
		}
		t.cids[code] = cid
		if t.cid[kind] == "" {
			t.cid[kind] = cid
		}
	}
	return t
})

// KindOfSIA maps a two-letter SIA DC-03 event code to its kind by the table in kinds.csv. withUser says that a user id
// came with it: a hold-up (HA) by a user is duress. A code that is not in the table is KindUnknown.
func KindOfSIA(code string, withUser bool) Kind {
	m := kindsOf().kinds
	if withUser {
		if k, ok := m[code+"+id"]; ok {
			return k
		}
	}
	if k, ok := m[code]; ok && code != "" {
		return k
	}
	return KindUnknown
}

// routeCIDs are the Contact ID events of a burglary by where the detector is.
var routeCIDs = map[string]string{"perimeter": "131", "interior": "132", "entry": "134"}

// CIDOf returns the Contact ID code of an event, qualifier and event code as in "1130" (1 new or opening, 3 restore or closing),
// by its SIA code when that says what kind says, else by its kind. An intruder alarm is told apart by its zone's route. "" when
// there is none: what is unknown, and what the box says of itself.
func CIDOf(kind Kind, code, route string) string {
	t := kindsOf()
	cid := t.cid[kind]
	if kind == KindDuress {
		code += "+id"
	}
	if t.kinds[code] == kind && code != "" {
		cid = t.cids[code]
	}
	if by := routeCIDs[route]; by != "" && kind.Base() == KindIntruder && cid != "" {
		cid = cid[:1] + by
	}
	return cid
}
