package config

import (
	"crypto/x509"
	"fmt"
	"os"
)

// maxSecret bounds a file that holds a password.
const maxSecret = 4 << 10

// CheckFiles looks at what the file names on this machine: passwords that can be read, and a data directory that is one.
// A serial adapter that is not plugged in is no problem here: the box starts without it and says so.
func (g *Gateway) CheckFiles() (ps []Problem) {
	for i, c := range g.Cameras {
		if c.CAFile != "" {
			if what := caProblem(c.CAFile); what != "" {
				ps = append(ps, g.Problem(index("cameras", i)+".ca_file", what, "write the certificate of the camera's authority into it, as PEM"))
			}
		}
		if c.PasswordFile == "" {
			continue
		}
		if what := secretProblem(c.PasswordFile); what != "" {
			ps = append(ps, g.Problem(index("cameras", i)+".password_file", what, "write the camera's password into it, readable by the service alone"))
		}
	}
	if what := dataProblem(g.Data); what != "" {
		ps = append(ps, g.Problem("data", what, "name a directory on the data partition"))
	}
	SortProblems(ps)
	return ps
}

// CheckFiles looks at what the file names on this machine.
func (s *SOC) CheckFiles() (ps []Problem) {
	if what := dataProblem(s.Data); what != "" {
		ps = append(ps, s.Problem("data", what, "name a directory on a disk with room for the clips"))
	}
	if what := dataProblem(s.ClipsDir()); what != "" {
		ps = append(ps, s.Problem("clips", what, "name a directory on a disk with room for the clips"))
	}
	SortProblems(ps)
	return ps
}

// maxCA bounds a file of authorities.
const maxCA = 1 << 20

func caProblem(path string) string {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("%s: %s", path, reason(err))
	case !st.Mode().IsRegular():
		return path + " is no regular file"
	case st.Size() > maxCA:
		return fmt.Sprintf("%s is larger than %v", path, Size(maxCA))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("%s: %s", path, reason(err))
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return path + " holds no certificate"
	}
	return ""
}

func secretProblem(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Sprintf("%s: %s", path, reason(err))
	}
	if !st.Mode().IsRegular() {
		return path + " is no regular file"
	}
	if st.Size() > maxSecret {
		return fmt.Sprintf("%s is larger than %v", path, Size(maxSecret))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("%s: %s", path, reason(err))
	}
	if len(b) == 0 {
		return path + " is empty"
	}
	return ""
}

// dataProblem accepts a directory that is not there yet: the program makes it.
func dataProblem(path string) string {
	st, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return ""
	case err != nil:
		return fmt.Sprintf("%s: %s", path, reason(err))
	case !st.IsDir():
		return path + " is no directory"
	}
	return ""
}
