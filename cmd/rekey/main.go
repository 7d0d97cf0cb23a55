// Command rekey is the secrets manager: the server, and the commands for those who
// run it.
package main

import (
	"os"

	"rekey/internal/cli"
)

func main() { os.Exit(cli.Main()) }
