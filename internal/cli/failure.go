package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// Exit statuses.
const (
	exitOK              = 0
	exitFailed          = 1
	exitUsage           = 2
	exitPolicyInvalid   = 3
	exitUnauthenticated = 4
	exitForbidden       = 5
	exitNotFound        = 6
	exitConflict        = 7
	exitUnavailable     = 8
)

// outcomes are, by kind of error, its code in JSON and its exit status.
func outcomes(kind fault.Kind) (code string, status int) {
	switch kind {
	case fault.PolicyInvalid:
		return "policy_invalid", exitPolicyInvalid
	case fault.Unauthenticated:
		return "unauthenticated", exitUnauthenticated
	case fault.Forbidden:
		return "forbidden", exitForbidden
	case fault.NotFound:
		return "not_found", exitNotFound
	case fault.Conflict, fault.Busy:
		return "conflict", exitConflict
	case fault.Internal, fault.Unavailable:
		return "unavailable", exitUnavailable
	}
	return "invalid", exitFailed
}

// answeredNo makes the exit status of a question that was answered with no.
type answeredNo struct{}

func (answeredNo) Error() string { return "no" }

// ended is the exit status of a command that leaves nothing to be told, such as that of
// the program that it has run.
type ended int

func (s ended) Error() string { return fmt.Sprintf("ended with status %d", int(s)) }

// exitStatus is that of the first error of the vocabulary in err.
func exitStatus(err error) int {
	var child ended
	var known *fault.Error
	switch {
	case errors.As(err, &child):
		return int(child)
	case errors.As(err, &known):
		_, status := outcomes(known.Kind)
		return status
	}
	return exitFailed
}

// wantsJSON tells whether somebody has asked for JSON, errors included.
func wantsJSON(cmd *cobra.Command) bool {
	flag := cmd.Flags().Lookup("output")
	return flag != nil && flag.Changed && flag.Value.String() == string(formatJSON)
}

// failure is an error in JSON.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"`
	Line    int    `json:"line,omitempty"` // of a policy
	Column  int    `json:"column,omitempty"`
	Status  int    `json:"status"` // the exit status
}

// printFailure writes a line for each error that is joined in err: in words, or as an
// object.
func printFailure(w io.Writer, err error, asJSON bool) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			printFailure(w, e, asJSON)
		}
		return
	}
	if _, told := err.(ended); told {
		return
	}
	if !asJSON {
		fmt.Fprintln(w, "error: "+client.VisibleLines(inWords(err)))
		return
	}
	f := failure{Code: "failed", Message: err.Error(), Status: exitStatus(err)}
	var known *fault.Error
	if errors.As(err, &known) {
		f.Code, _ = outcomes(known.Kind)
		f.Advice, f.Line, f.Column = known.Advice, known.Line, known.Column
	}
	printCompact(w, f)
}

func printCompact(w io.Writer, f failure) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(map[string]failure{"error": f}) // there is nowhere left to tell of it
}

// inWords is an error with its place and its advice.
func inWords(err error) string {
	text := err.Error()
	var known *fault.Error
	if errors.As(err, &known) {
		if at := fmt.Sprintf("line %d, column %d", known.Line, known.Column); known.Line > 0 && !strings.Contains(text, at) {
			text += " (" + at + ")"
		}
		if known.Advice != "" {
			text += ": " + known.Advice
		}
	}
	return text
}
