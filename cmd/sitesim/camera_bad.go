package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sitewatch/video/rtsptest"
)

// runBad is a bad camera of the catalogue until ctx ends.
func (c *cameraCmd) runBad(ctx context.Context) error {
	if c.Bad == "list" {
		_, err := os.Stdout.WriteString(rtsptest.List())
		return err
	}
	if c.File != "" || c.User != "" || c.PasswordFile != "" {
		return errors.New("--bad has a film and a password question of its own: leave out --file, --user and --password-file")
	}
	b, err := rtsptest.BadNamed(c.Bad)
	if err != nil {
		return err
	}
	s, err := b.Listen(c.Listen)
	if err != nil {
		return err
	}
	fmt.Printf("%s/main and /sub\n", s.URL(c.Name))
	return s.Run(ctx)
}
