package cli

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/spf13/cobra"

	"rekey/internal/secret"
)

func dataKeyCommand() *cobra.Command {
	key := &cobra.Command{Use: "data-key", Short: "Make a root key"}
	generate := &cobra.Command{
		Use: "generate", Short: "Print a new root key for REKEY_DATA_KEY or the root key file",
		Long:    "Prints 44 characters, the base64 of 32 random bytes; with a newline only on a terminal.",
		Example: "  (umask 077; rekey data-key generate > root.key)\n  export REKEY_DATA_KEY=\"$(rekey data-key generate)\"",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := newRootKey().RevealString()
			text := key
			if isTerminal(cmd.OutOrStdout()) {
				text += "\n"
			}
			return formOf(cmd).say(cmd, text, map[string]any{"data_key": key})
		},
	}
	outcomeFlag(generate.Flags())
	key.AddCommand(generate)
	return key
}

func newRootKey() secret.Bytes {
	var key [32]byte
	rand.Read(key[:]) // never fails
	return secret.FromString(base64.StdEncoding.EncodeToString(key[:]))
}
