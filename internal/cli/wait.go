package cli

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/config"
	"rekey/internal/fault"
)

func waitCommand() *cobra.Command {
	var port uint16
	var retries uint
	wait := &cobra.Command{
		Use: "wait", Short: "Wait until the server on this machine answers",
		Long: "Waits until the server on this machine answers where the configuration says that it listens, or, with -p, on a\n" +
			"port of this machine, in HTTP or HTTPS.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			urls := []string{"http://localhost:" + strconv.Itoa(int(port)), "https://localhost:" + strconv.Itoa(int(port))}
			if !cmd.Flags().Changed("port") {
				loaded, err := config.Load(sources(cmd))
				if err != nil {
					return err
				}
				urls = []string{listenURL(&loaded.Config)}
			}
			return waitFor(cmd, urls, retries)
		},
	}
	addSettings(wait.Flags(), "listen", "tls_self_signed", "tls_certificate", "tls_key", "tls_terminated_by_proxy")
	wait.Flags().Uint16VarP(&port, "port", "p", 0, "port of the server, instead of where the configuration says")
	wait.Flags().UintVarP(&retries, "retries", "r", 90, "how many times to ask, once a second")
	return wait
}

// listenURL is where a server with that configuration is reached from its machine.
func listenURL(cfg *config.Config) string {
	scheme := "http://"
	if cfg.TLS() {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return scheme + cfg.Listen // which config.Load has refused
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}

func waitFor(cmd *cobra.Command, urls []string, retries uint) error {
	out, where := cmd.OutOrStdout(), strings.Join(urls, " or ")
	fmt.Fprintf(out, "Waiting for rekey at %s to be ready...", where)
	for try := range retries {
		if try > 0 {
			select {
			case <-cmd.Context().Done():
				fmt.Fprintln(out)
				return fault.New(fault.Unavailable, "interrupted: rekey is not ready")
			case <-time.After(time.Second):
			}
		}
		if answers(cmd, urls) {
			fmt.Fprintln(out, " rekey is ready!")
			return nil
		}
		fmt.Fprint(out, ".")
	}
	fmt.Fprintln(out)
	e := fault.New(fault.Unavailable, "rekey is not ready at %s after %d tries", where, retries)
	e.Advice = "look into the server's log, or name another port with --port"
	return e
}

// answers asks for the status page. The certificate is not looked at: nothing is sent
// but the question.
func answers(cmd *cobra.Command, urls []string) bool {
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	for _, url := range urls {
		request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url+"/", nil)
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
