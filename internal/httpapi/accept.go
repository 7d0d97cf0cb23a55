package httpapi

import (
	"strconv"
	"strings"
)

// media is a media type that an answer without a type of its own can take.
type media uint8

const (
	mediaAny media = iota
	mediaHTML
	mediaJSON
	mediaText
	mediaXML
	mediaYAML
	mediaV2
)

// v2Type selects the second version of the protocol. Only a header that is exactly
// this changes the shape of errors.
const v2Type = "application/x.secretsmgr.v2beta+json"

var mediaTypes = map[string]media{
	"text/html":             mediaHTML,
	"application/xhtml+xml": mediaHTML,
	"application/json":      mediaJSON,
	"text/x-json":           mediaJSON,
	"text/plain":            mediaText,
	"application/xml":       mediaXML,
	"application/x-xml":     mediaXML,
	"text/xml":              mediaXML,
	"application/x-yaml":    mediaYAML,
	"text/yaml":             mediaYAML,
	v2Type:                  mediaV2,
}

// accept is what an Accept header (RFC 9110, section 12.5.1) says. It never selects a
// representation, except on GET /; it colours empty answers and errors.
type accept struct {
	media  media // the known type wanted most; mediaAny if there is none
	varied bool  // answers depend on the header as far as caches are concerned
	v2     bool  // it is exactly v2Type
}

// parseAccept reads an Accept header. ok is false if a media type in it is malformed.
// Headers like those of browsers, with */* beside other types, count as absent.
func parseAccept(header string) (a accept, ok bool) {
	if header == "" {
		return accept{}, true
	}
	if header == v2Type {
		return accept{media: mediaV2, varied: true, v2: true}, true
	}
	if likeBrowser(header) {
		return accept{}, true
	}
	a.varied = true
	best := 0.0
	for header != "" {
		var element string
		element, header, _ = strings.Cut(header, ",")
		element = strings.TrimSpace(element)
		if element == "" {
			continue
		}
		name, quality, ok := mediaRange(element)
		if !ok {
			return accept{}, false
		}
		if known := mediaTypes[strings.ToLower(name)]; known != mediaAny && quality > best {
			a.media, best = known, quality
		}
	}
	return a, true
}

func likeBrowser(header string) bool {
	if !strings.Contains(header, "*/*") || !strings.Contains(header, ",") {
		return false
	}
	for rest := header; ; {
		before, after, found := strings.Cut(rest, "*/*")
		if !found {
			return false
		}
		before, after = strings.TrimSpace(before), strings.TrimSpace(after)
		if strings.HasSuffix(before, ",") || strings.HasPrefix(after, ",") {
			return true
		}
		rest = after
	}
}

// mediaRange reads one element: type/subtype or *, then parameters.
func mediaRange(element string) (name string, quality float64, ok bool) {
	name, rest, more := strings.Cut(element, ";")
	name = strings.TrimSpace(name)
	quality = 1
	if name != "*" {
		kind, subtype, found := strings.Cut(name, "/")
		if !found || !isToken(kind) || !isToken(subtype) {
			return "", 0, false
		}
	}
	for more {
		var p string
		p, rest, more = strings.Cut(rest, ";")
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		key, value, _ := strings.Cut(p, "=")
		if !isToken(strings.TrimSpace(key)) {
			return "", 0, false
		}
		if strings.EqualFold(strings.TrimSpace(key), "q") {
			if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
				quality = 0
			} else {
				quality = q
			}
		}
	}
	return name, quality, true
}

// isToken: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
