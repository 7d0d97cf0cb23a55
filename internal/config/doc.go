package config

import (
	"fmt"
	"strings"
)

// Markdown is the reference page of all settings.
func Markdown() string {
	var page strings.Builder
	page.WriteString(`# Configuration

The server and the commands that work on its data directory share one configuration. For each setting a flag wins over the
environment, the environment over the file, and the file over the default. An environment variable
that is empty or blank counts as not set. Where several variables are named, the first one that is
set wins.

The file is YAML, one ` + "`key: value`" + ` a line; ` + "`--config PATH`" + `, ` + "`REKEY_CONFIG`" + ` or ` + "`CONJUR_CONF`" + ` says where it is.
A key that is unknown is an error. Keys and variables of a Conjur server that have no counterpart
here are named in a warning and have no effect.

` + "`rekey config check`" + ` reports every problem at once; ` + "`rekey config show`" + ` tells each value and where it
comes from (` + "`-o text`, `yaml` or `json`" + `).

This page is made from the table in the program: ` + "`go test ./internal/config -update`" + ` writes it.

| setting (key in the file) | flag | environment | type | default |
|---|---|---|---|---|
`)
	for _, s := range table() {
		flag := "none"
		if s.Flag != "" {
			flag = "`--" + s.Flag + "`"
		}
		value := "none"
		if s.Key == "data_dir" {
			value = "`$XDG_DATA_HOME/rekey`, else `~/.local/share/rekey`"
		} else if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | `%s` | %s | %s |\n", s.Key, flag, strings.Join(s.Env, "`, `"), s.Type, value)
	}
	for _, s := range table() {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", s.Key, s.Doc)
		if s.ServerOnly {
			page.WriteString("Read by the server only.\n")
		}
	}
	page.WriteString(`
## Passwords of users

An environment variable ` + "`CONJUR_PASSWORD_ALICE`" + ` sets the password of user ` + "`alice`" + ` whenever a policy that declares
that user is loaded; the user's id is in upper case, with an underscore for each character that is neither
a letter nor a digit.
`)
	return page.String()
}
