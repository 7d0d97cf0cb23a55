package cli

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rekey/internal/config"
)

// localSettings are the ones that commands on a data directory have flags for; the
// others come from the environment and the file.
var localSettings = []string{"data_dir", "database_url", "data_key_file", "audit", "log_level", "log_format"}

// settingFlag is the text of a setting's flag. The configuration reads it together
// with the other sources, so that all problems are reported at once.
type settingFlag struct{ text, kind string }

func (f *settingFlag) Set(text string) error { f.text = text; return nil }
func (f *settingFlag) String() string        { return f.text }
func (f *settingFlag) Type() string          { return f.kind }

// addSettings gives a command the flags of settings, all of them if no keys are given.
func addSettings(flags *pflag.FlagSet, keys ...string) {
	flags.String("config", "", "YAML file with the configuration [REKEY_CONFIG]")
	for _, s := range config.Settings() {
		if s.Flag == "" || len(keys) > 0 && !slices.Contains(keys, s.Key) {
			continue
		}
		value := &settingFlag{kind: s.Type}
		doc, _, _ := strings.Cut(s.Doc, ". ")
		flag := flags.VarPF(value, s.Flag, "", strings.TrimSuffix(strings.ReplaceAll(doc, "`", ""), ".")+" ["+s.Env[0]+"]")
		flag.DefValue = s.Default
		if s.Key == "data_key_file" {
			flag.DefValue = "root.key in the data directory" // it depends on another setting
		}
		if s.Type == "true or false" {
			value.kind, flag.NoOptDefVal = "bool", "true" // pflag's word for a flag that needs no value
		}
	}
}

// sources are the command's flags, its environment and its file.
func sources(cmd *cobra.Command) config.Sources {
	src := config.Sources{Flags: map[string]string{}, Environ: os.Environ()}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch value := flag.Value.(type) {
		case *settingFlag:
			src.Flags[flag.Name] = value.text
		default:
			if flag.Name == "config" {
				src.File = flag.Value.String()
			}
		}
	})
	return src
}

// logger writes the application log as the configuration says.
func logger(cfg *config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
