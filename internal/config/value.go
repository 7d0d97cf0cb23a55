package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rekey/internal/secret"
)

// parse reads text into the field that a setting points to. Its errors complete
// the sentence "the value cannot be used: ..." and never repeat the value.
func parse(field any, text string) error {
	text = strings.TrimSpace(text)
	var err error
	switch p := field.(type) {
	case *string:
		*p = text
	case *bool:
		*p, err = parseBool(text)
	case *int:
		if *p, err = strconv.Atoi(text); err != nil {
			err = errors.New("it is not a whole number")
		}
	case *time.Duration:
		*p, err = parseSeconds(text)
	case *slog.Level:
		*p, err = parseLevel(text)
	case *[]netip.Prefix:
		*p, err = parseNetworks(text)
	case *[]string:
		*p = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	case *[]Program:
		*p, err = parsePrograms(text)
	case *secret.Bytes:
		*p = secret.FromString(text)
	default:
		panic(fmt.Sprintf("config: no parser for %T", field))
	}
	return err
}

// plain gives a field's value as a string, bool, number or list of strings, which
// YAML and JSON show as such.
func plain(field any) any {
	switch p := field.(type) {
	case *string:
		return *p
	case *bool:
		return *p
	case *int:
		return *p
	case *time.Duration:
		return int(p.Seconds())
	case *slog.Level:
		return strings.ToLower(p.String())
	case *[]netip.Prefix:
		list := make([]string, len(*p))
		for i, prefix := range *p {
			list[i] = prefix.String()
		}
		return list
	case *[]string:
		return append([]string{}, *p...)
	case *[]Program:
		list := make([]string, len(*p))
		for i, program := range *p {
			list[i] = program.String()
		}
		return list
	case *secret.Bytes:
		if p.Len() == 0 {
			return ""
		}
		return "*****"
	}
	panic(fmt.Sprintf("config: no rendering for %T", field))
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "on", "1":
		return true, nil
	case "false", "f", "no", "n", "off", "0":
		return false, nil
	}
	return false, errors.New("it is neither true nor false")
}

func parseSeconds(text string) (time.Duration, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("it is neither a number of seconds nor a duration such as 8m")
	}
	if d%time.Second != 0 {
		return 0, errors.New("it is not a whole number of seconds")
	}
	return d, nil
}

func parseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error", "fatal", "unknown": // Conjur's levels above error; nothing here is quieter than error
		return slog.LevelError, nil
	}
	return 0, errors.New("it is none of debug, info, warn, error")
}

func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if addr, err := netip.ParseAddr(item); err == nil && addr.Zone() == "" {
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
		} else if prefix, err := netip.ParsePrefix(item); err == nil {
			networks = append(networks, prefix.Masked())
		} else {
			return nil, fmt.Errorf("%q is neither an IP address nor a CIDR block", item)
		}
	}
	return networks, nil
}

func parsePrograms(text string) ([]Program, error) {
	var programs []Program
	for item := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, line, _ := strings.Cut(item, "=")
		words := strings.Fields(line)
		name = strings.TrimSpace(name)
		if name == "" || strings.ContainsAny(name, " \t\n") || len(words) == 0 {
			return nil, fmt.Errorf("%q is not a program: write name=/path, and its arguments with blanks between", strings.TrimSpace(item))
		}
		if !filepath.IsAbs(words[0]) {
			return nil, fmt.Errorf("the path of program %q does not begin with a slash", name)
		}
		programs = append(programs, Program{Name: name, Path: words[0], Args: words[1:]})
	}
	return programs, nil
}
