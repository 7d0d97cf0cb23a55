package agent

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/period"
	"rekey/internal/secretsyml"
)

// Plan is what an agent is to do.
type Plan struct {
	Identity    string        // file with the API key, in netrc form; "" for the configured one
	RotateEvery time.Duration // the age at which the key is replaced; 0 for never
	RotateNow   bool          // replace it once, whatever its age is
	OldKey      string        // how long a replaced key goes on, an ISO 8601 duration; "" for a usual time
	TokenFile   string        // "" for none
	Files       []File
	Command     *Command      // nil for none
	Poll        time.Duration // how often values are looked at where the server does not tell of changes
	Health      string        // address of the health and metrics pages: 127.0.0.1:PORT or unix:PATH; "" for none
	Timeout     time.Duration // of a request
	Trace       io.Writer     // gets a line for each request; may be nil
}

// File is a file with secrets. Exactly one of Secret, Template and Text is given.
type File struct {
	To       string
	Secret   string // the id of the one variable whose value it has
	Template string // the name of a file with a template
	Text     string // a template
	Look     *client.Look
}

// Command is what runs beside the agent, with secrets in its environment.
type Command struct {
	Args      []string
	Entries   []secretsyml.Entry
	Signal    syscall.Signal // sent when a secret has changed; 0: the command is started again
	StopAfter time.Duration  // how long it may take to end before it is killed
}

// Usual is a plan with everything that has a usual value.
func Usual() Plan { return Plan{Poll: 30 * time.Second, Timeout: 10 * time.Second} }

const (
	usualGrace   = 15 * time.Minute
	longestGrace = 30 * period.Day // of the server
	// UsualStop is how long a command may take to end.
	UsualStop = 10 * time.Second
)

// Check completes a plan and finds what cannot be done.
func (p *Plan) Check() error {
	if p.keepsKey() && p.OldKey == "" {
		p.OldKey = fmt.Sprintf("PT%gS", min(usualGrace, p.graceBound()).Seconds())
	}
	if p.OldKey != "" {
		grace, err := period.Parse(p.OldKey)
		switch {
		case err != nil:
			return mistake("old_key is '"+p.OldKey+"'", "write an ISO 8601 duration such as PT15M")
		case grace > p.graceBound():
			return mistake(fmt.Sprintf("old_key is longer than rotate_every or %v", longestGrace),
				"give a shorter time: a key goes on only until the next rotation, and for 30 days at most")
		}
	}
	for _, f := range p.Files {
		sources := 0
		for _, s := range []string{f.Secret, f.Template, f.Text} {
			if s != "" {
				sources++
			}
		}
		if f.To == "" || sources != 1 {
			return mistake(fmt.Sprintf("the file '%s' does not have a name and one of secret, template and text", f.To), "give it exactly one")
		}
	}
	if p.Command != nil && len(p.Command.Args) == 0 {
		return mistake("there are secrets for a command, but no command", "write it after --, as in `rekey agent -f secrets.yml -- app`")
	}
	if p.Poll < 100*time.Millisecond {
		return mistake("poll is too short", "give at least PT0.1S")
	}
	return checkAddress(p.Health)
}

func (p *Plan) graceBound() time.Duration {
	if p.RotateEvery == 0 {
		return longestGrace
	}
	return min(longestGrace, p.RotateEvery)
}

// checkAddress wants the pages where only this machine reaches them.
func checkAddress(address string) error {
	if address == "" || strings.HasPrefix(address, "unix:") && len(address) > len("unix:") {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return mistake("health is '"+address+"'", "write an address of this machine only, such as 127.0.0.1:9180, or unix:PATH")
	}
	return nil
}

func (p *Plan) keepsKey() bool     { return p.RotateEvery > 0 || p.RotateNow }
func (p *Plan) wantsSecrets() bool { return len(p.Files) > 0 || p.Command != nil }

func (p *Plan) options() client.Options {
	return client.Options{Trace: p.Trace, Timeout: p.Timeout, Identity: p.Identity}
}

// mayFollow refuses what cannot be changed while the agent runs.
func (p *Plan) mayFollow(former Plan) error {
	if (p.Command == nil) != (former.Command == nil) || p.Command != nil && !slices.Equal(p.Command.Args, former.Command.Args) {
		return mistake("the command is another one", "start the agent again")
	}
	if p.Health != former.Health {
		return mistake("health is at another address", "start the agent again")
	}
	return nil
}

// placeOf is the absolute form of a path in a file in dir.
func placeOf(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func mistake(what, advice string) error {
	e := fault.New(fault.Invalid, "%s", what)
	e.Advice = advice
	return e
}
