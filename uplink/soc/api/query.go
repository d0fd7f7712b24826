package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"sitewatch/uplink/soc/ledger"
)

// query reads the parameters of a request, which may be these only, each once. It answers the request and returns false
// when there is anything else: what is misspelt or half read would silently select everything.
func query(w http.ResponseWriter, r *http.Request, names ...string) (url.Values, bool) {
	q, err := url.ParseQuery(r.URL.RawQuery) // r.URL.Query drops what it cannot read
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf("the parameters cannot be read: %.80s", err))
		return nil, false
	}
	for k, v := range q {
		if !slices.Contains(names, k) || len(v) != 1 {
			fail(w, http.StatusBadRequest, fmt.Sprintf("the parameter %.40q is not known here, or is there twice", k))
			return nil, false
		}
	}
	return q, true
}

// index reads an index of the ledger: digits alone.
func index(s string) (ledger.Index, bool) {
	n, err := strconv.ParseUint(s, 10, 63) // unlike ParseInt it takes no sign
	return ledger.Index(n), err == nil
}

const notIndex = "after is not an index: 0 or a positive number, in digits"
