package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// readFile gives the texts of the YAML file by key. The file is one flat mapping
// of the keys in the table; a list may be written as a sequence or as one text with
// commas. An empty path means that there is no file.
func readFile(path string, settings []*Setting, warnings *[]string) (map[string]given, []Problem) {
	if path == "" {
		return nil, nil
	}
	source := "file " + path
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, []Problem{{"", source, "cannot be read: " + err.Error(), "mend the path in --config or REKEY_CONFIG"}}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, []Problem{{"", source, "is not YAML: " + err.Error(), "mend the line"}}
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" { // empty, or only comments
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, []Problem{{"", source, "is not a mapping", "write one `key: value` on each line"}}
	}
	texts, problems := map[string]given{}, []Problem(nil)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s line %d", source, key.Line)
		known := slices.ContainsFunc(settings, func(s *Setting) bool { return s.Key == key.Value })
		text, ok := scalarText(value)
		_, twice := texts[key.Value]
		switch {
		case twice:
			problems = append(problems, Problem{key.Value, at, "is there twice", "remove one of the two"})
		case !known && slices.Contains(foreign, key.Value):
			*warnings = append(*warnings, fmt.Sprintf("%s: %s has no effect here", at, key.Value))
		case !known:
			problems = append(problems, Problem{key.Value, at, "is not a setting", "remove it, or see `rekey config show` for the right spelling"})
		case !ok:
			problems = append(problems, Problem{key.Value, at, "is neither a single value nor a list of them", "write `" + key.Value + ": value`"})
		case strings.TrimSpace(text) != "":
			texts[key.Value] = given{text, at}
		}
	}
	return texts, problems
}

// scalarText is a scalar's text, or the texts of a list of scalars with commas.
func scalarText(node *yaml.Node) (string, bool) {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return "", true
		}
		return node.Value, true
	case yaml.SequenceNode:
		var texts []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false
			}
			texts = append(texts, item.Value)
		}
		return strings.Join(texts, ","), true
	}
	return "", false
}
