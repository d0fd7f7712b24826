// Package console is the operators' page: the newest urgent events first, with still and clip in place, as they arrive.
//
// It is one HTML template and a few static files; everything it shows comes from the JSON API in the browser. It owns
// nothing but its embedded files and may serve any number of requests at once.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed index.html static
var files embed.FS

// Options of the console.
type Options struct {
	Version string
}

// policy lets the page load from here and nowhere else, and run no script that is not a file of ours.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// New renders the page once.
func New(o Options) (http.Handler, error) {
	t, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, o); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page.Bytes()))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	}), nil
}
