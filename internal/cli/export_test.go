package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ReadAll reads the standard input of a command to its end.
var ReadAll = readAll

// ShowProgress shows for how long something has been under way.
var ShowProgress = showProgress

// page is a command as the manual shows it.
type page struct{ Path, Long, Usage, Flags, Example string }

type chapter struct {
	Title    string
	Commands []page
}

// Chapters are the commands that do something, by the groups of the root command.
func Chapters() []chapter {
	root := command()
	var all []chapter
	for _, group := range append(root.Groups(), &cobra.Group{Title: "Other:"}) {
		c := chapter{Title: strings.TrimSuffix(group.Title, ":")}
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				c.Commands = append(c.Commands, pages(cmd)...)
			}
		}
		all = append(all, c)
	}
	return all
}

func pages(cmd *cobra.Command) (all []page) {
	if cmd.Hidden {
		return nil
	}
	if cmd.Runnable() {
		p := page{Path: cmd.CommandPath(), Long: cmd.Long, Example: unindent(cmd.Example)}
		if p.Long == "" {
			p.Long = cmd.Short + "."
		}
		p.Usage = strings.ReplaceAll(strings.TrimSuffix(cmd.UseLine(), " [flags]"), "\n  ", "\n    ")
		p.Flags = flagTable(cmd)
		all = append(all, p)
	}
	for _, below := range cmd.Commands() {
		all = append(all, pages(below)...)
	}
	return all
}

// flagTable leaves out the settings of the server, which have a page of their own.
func flagTable(cmd *cobra.Command) string {
	var rows []string
	settings := false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Value.(*settingFlag); ok || f.Name == "config" {
			settings = true
			return
		}
		if f.Hidden || f.Name == "help" || f.Name == "debug" || f.Name == "timeout" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		text := strings.ReplaceAll(f.Usage, "|", `\|`)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
			text += " (`" + f.DefValue + "`)"
		}
		rows = append(rows, "| "+name+" | "+text+" |")
	})
	text := ""
	if len(rows) > 0 {
		text = "| flag | |\n|---|---|\n" + strings.Join(rows, "\n")
	}
	if settings {
		text = strings.TrimSpace(text + "\n\nThe [settings](configuration.md) of the server are flags of it, too.")
	}
	return text
}

func unindent(example string) string {
	return strings.ReplaceAll(strings.TrimPrefix(example, "  "), "\n  ", "\n")
}
