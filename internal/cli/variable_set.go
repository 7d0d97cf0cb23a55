package cli

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/rotation/target/password"
	"rekey/internal/secret"
)

// setFlags are the flags of set.
type setFlags struct {
	id, value, file, recipe string
	ifAbsent                bool
}

func variableSetCommand() *cobra.Command {
	var f setFlags
	cmd := &cobra.Command{
		Use: "set -i ID", Short: "Give a variable a new value",
		Long: "The value comes from standard input, without the newline at its end, if there is one, or from a file as\n" +
			"it is. With -v others on this machine may see it. With --generate it is made here and printed nowhere; as\n" +
			"its recipe it takes a length, and after a colon the classes of characters of which each must occur: lower,\n" +
			"upper, digit, symbol. With --if-absent a variable that has a value keeps it.",
		Example: "  rekey variable set -i shop/db/password < password\n  rekey variable set -i shop/tls/key -f server.key\n" +
			"  rekey variable set -i shop/db/password --generate=32:lower,upper,digit",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case f.id == "" && len(args) == 0:
			return errors.New("no variable is named: give its id with -i")
		case f.id == "" && len(args) <= 2:
			f.id = args[0]
			if len(args) == 2 {
				f.value = args[1]
			}
			return nil
		}
		return noArguments(cmd, args)
	}
	newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		variable, err := s.ID(f.id, "variable")
		if err != nil {
			return err
		}
		if f.ifAbsent {
			versions, err := s.Versions(variable)
			if err != nil {
				return err
			}
			if len(versions) > 0 {
				return formOf(cmd).say(cmd, "There is a value already\n", map[string]any{"id": string(variable), "added": false})
			}
		}
		value, err := f.read(cmd)
		if err != nil {
			return err
		}
		if err := s.API.AddSecret(string(variable), value.RevealString()); err != nil {
			return s.Explain(err, client.Task{Do: "write", On: string(variable), Privilege: "update"})
		}
		return formOf(cmd).say(cmd, "Value added\n", map[string]any{"id": string(variable), "added": true})
	})
	flags := cmd.Flags()
	outcomeFlag(flags)
	flags.StringVarP(&f.id, "id", "i", "", "id of the variable")
	flags.StringVarP(&f.value, "value", "v", "", "the value")
	flags.StringVarP(&f.file, "file", "f", "", "file with the value, - for standard input as it is")
	flags.StringVar(&f.recipe, "generate", "", "make the value; LENGTH or LENGTH:CLASS,... after an equals sign says how")
	flags.Lookup("generate").NoOptDefVal = defaultRecipe
	flags.BoolVar(&f.ifAbsent, "if-absent", false, "only if the variable has no value yet")
	cmd.MarkFlagsMutuallyExclusive("value", "file", "generate")
	return cmd
}

// defaultRecipe is that of a value for which nothing else is said: 32 characters.
const defaultRecipe = "32"

// read finds the value where the flags say that it is.
func (f *setFlags) read(cmd *cobra.Command) (secret.Bytes, error) {
	var err error
	value := f.value
	switch {
	case f.recipe != "":
		return generate(f.recipe)
	case f.file != "":
		value, err = readFile(cmd, f.file)
	case value == "" && isTerminal(cmd.InOrStdin()):
		value, err = askSecret(cmd, "Value: ", "")
	case value == "" && !cmd.Flags().Changed("value"):
		value, err = secretFromStdin(cmd)
	}
	return secret.FromString(value), err
}

func generate(recipe string) (secret.Bytes, error) {
	length, charset, _ := strings.Cut(recipe, ":")
	how, err := password.ParseRecipe(length, strings.ReplaceAll(charset, ",", " "))
	if err != nil {
		e := fault.New(fault.Invalid, "a value cannot be made by '%s': %v", recipe, err)
		e.Advice = "write a length, or a length and classes as in --generate=32:lower,upper,digit,symbol"
		return secret.Bytes{}, e
	}
	value, err := how.Make(rand.Reader)
	return value, fault.Wrap(err, "making a value")
}
