package main

import (
	"context"
	"io"
)

// peer is a small working panel of one protocol on a line that is open.
type peer interface {
	// Run talks on line until ctx ends or the line fails, and returns why. It may close line.
	Run(ctx context.Context, line io.ReadWriteCloser) error
	// Do does what a person types, for example "input 1 3 on"; the error says what may be typed.
	Do(words []string) error
}
