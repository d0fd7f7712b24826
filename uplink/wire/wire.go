// Package wire is what crosses between the box and the SOC: the messages of sitewatch.proto with their generated code,
// the enrolment token, and the names and limits that both sides must agree on. PROTOCOL.md is the specification.
// It owns no connection and no goroutine; everything in it may be used from any goroutine.
//
// The generated files come from, run in the module's root:
//
//	mkdir -p bin && go build -o bin/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
//	protoc --plugin=bin/protoc-gen-go --plugin=bin/protoc-gen-go-grpc --go_out=. --go_opt=paths=source_relative \
//	  --go-grpc_out=. --go-grpc_opt=paths=source_relative uplink/wire/sitewatch.proto
package wire

import (
	"regexp"
	"strings"
)

const (
	// Protocol is the version that this program speaks.
	Protocol = 1
	// ServerName is the one name in every SOC's certificate, whatever host it runs on.
	ServerName = "soc.sitewatch.internal"

	MaxMessageBytes = 512 << 10 // any message, both ways
	MaxBatch        = 256       // records in one Events
	MaxBatchBytes   = 256 << 10 // sum of the bodies in one Events, unless a single record is larger
	MaxChunkBytes   = 64 << 10
	MaxClipBytes    = 1 << 30
	MaxStillBytes   = 16 << 20
	MaxTextBytes    = 1 << 10 // any reason, outcome, name or version
)

var idPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ValidID says whether id has the form of a clip, journal or command id; only such an id may become part of a file name.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Text makes s fit for a text field: valid UTF-8 (protobuf refuses to send anything else) and not too long.
func Text(s string) string {
	if len(s) > MaxTextBytes {
		s = s[:MaxTextBytes]
	}
	return strings.ToValidUTF8(s, "?")
}
