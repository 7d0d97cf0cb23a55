package cli

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
)

func waitCommand() *cobra.Command {
	var port, retries uint
	wait := &cobra.Command{
		Use: "wait", Short: "Wait until the server on this machine answers", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprint(out, "Waiting for rekey to be ready...")
			for try := range retries {
				if try > 0 {
					select {
					case <-cmd.Context().Done():
						fmt.Fprintln(out)
						return fault.New(fault.Unavailable, "interrupted: rekey is not ready")
					case <-time.After(time.Second):
					}
				}
				if answers(cmd, port) {
					fmt.Fprintln(out, " rekey is ready!")
					return nil
				}
				fmt.Fprint(out, ".")
			}
			fmt.Fprintln(out)
			e := fault.New(fault.Unavailable, "rekey is not ready on port %d after %d tries", port, retries)
			e.Advice = "look into the server's log, or name another port with --port"
			return e
		},
	}
	wait.Flags().UintVarP(&port, "port", "p", 8080, "port of the server")
	wait.Flags().UintVarP(&retries, "retries", "r", 90, "how many times to ask, once a second")
	return wait
}

// answers asks for the status page, in HTTP and in HTTPS. The certificate is not
// looked at: nothing is sent but the question, and only to this machine.
func answers(cmd *cobra.Command, port uint) bool {
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	for _, scheme := range [...]string{"http", "https"} {
		request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, fmt.Sprintf("%s://localhost:%d/", scheme, port), nil)
		if err != nil {
			return false
		}
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		ready := response.StatusCode == http.StatusOK
		if err := response.Body.Close(); err == nil && ready {
			return true
		}
	}
	return false
}
