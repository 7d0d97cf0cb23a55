package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"rekey/internal/backup"
	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/seal"
	"rekey/internal/secret"
)

// pathBackup is the one operation whose answer is no JSON: it is the archive, and after
// it a trailer that says how it ended.
const pathBackup = "/backup"

// The trailers.
const (
	trailerSummary = "Rekey-Summary" // JSON of a backup.Summary
	trailerProblem = "Rekey-Problem" // JSON of a problem
)

// BackupKey is the key that an archive is to be read with; the root key if it is empty.
type BackupKey struct {
	Name string `json:"name,omitempty"` // where it came from, for messages
	Text string `json:"text,omitempty"`
}

func (o operations) backup(w http.ResponseWriter, r *http.Request) {
	var in BackupKey
	var key *seal.Root
	err := json.NewDecoder(r.Body).Decode(&in)
	if err != nil {
		err = fault.New(fault.BadRequest, "the request is not JSON: %v", err)
	} else if in.Text != "" {
		key, err = seal.ParseRoot(in.Name, secret.FromString(in.Text))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	// It takes as long as it takes. A connection within the process has no deadlines.
	deadlines := http.NewResponseController(w)
	if err := errors.Join(deadlines.SetReadDeadline(time.Time{}), deadlines.SetWriteDeadline(time.Time{})); err != nil && !errors.Is(err, http.ErrNotSupported) {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	name, trailer := trailerSummary, any(nil)
	if trailer, err = o.core.Backup(r.Context(), core.Operator(), key, w); err != nil {
		name, trailer = trailerProblem, describe(err)
	}
	text, err := json.Marshal(trailer)
	if err != nil {
		return // the client misses it
	}
	w.Header().Set(http.TrailerPrefix+name, string(text))
}

// Backup writes an archive of everything to w, as of one moment. If it fails, what was
// written is of no use.
func (c *Client) Backup(ctx context.Context, key BackupKey, w io.Writer) (summary backup.Summary, err error) {
	response, err := c.ask(ctx, pathBackup, key)
	if err != nil {
		return summary, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return summary, refusal(response)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return summary, fault.Wrap(err, "writing the backup")
	}
	if text := response.Trailer.Get(trailerProblem); text != "" {
		return summary, refused([]byte(text), response.Status)
	}
	text := response.Trailer.Get(trailerSummary)
	if text == "" {
		return summary, &fault.Error{Kind: fault.Unavailable, Message: "the server has ended before the backup was complete", Advice: "try again"}
	}
	return summary, fault.Wrap(json.Unmarshal([]byte(text), &summary), "reading the answer")
}
