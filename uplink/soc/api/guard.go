package api

import (
	"net"
	"net/http"
	"net/url"
)

// guard lets in only what is meant for this machine. A page on another site can make a browser send requests here
// (Origin, Sec-Fetch-Site), and can give its own name our address (DNS rebinding: Host); neither may read or command.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			fail(w, http.StatusForbidden, "this server answers to loopback names only")
			return
		}
		if o := r.Header.Get("Origin"); o != "" {
			u, err := url.Parse(o)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host != r.Host {
				fail(w, http.StatusForbidden, "requests from pages of another origin are not answered")
				return
			}
		}
		if s := r.Header.Get("Sec-Fetch-Site"); s == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			fail(w, http.StatusForbidden, "requests from pages of another site are not answered")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// loopback says whether a Host header names this machine, with or without port.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
