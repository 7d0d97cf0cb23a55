package openapitest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request and its answer.
type Exchange struct {
	Operation string // as by Operations; "" if no route fits the request
	Method    string
	Query     url.Values
	Status    int
	Header    http.Header
	Body      []byte
}

// unrouted names the answers to requests that no route fits.
var unrouted = map[int]string{400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "UnknownPath"}

// untold are headers of every server, which the document does not repeat.
var untold = map[string]bool{"Content-Type": true, "Content-Length": true, "Date": true, "Connection": true}

// Check tells what of an answer is not as documented.
func (c *Contract) Check(e Exchange) error {
	var response node
	var at string
	status := strconv.Itoa(e.Status)
	if e.Operation == "" {
		name, ok := unrouted[e.Status]
		if !ok {
			return fmt.Errorf("no route fits, which is not answered with %s", status)
		}
		response, at = c.resolve(node{"$ref": "#/components/responses/" + name}, "")
	} else {
		if c.Operation(e.Operation) == nil {
			return fmt.Errorf("the document has no %s", e.Operation)
		}
		if response, at = c.response(e.Operation, status); response == nil {
			return fmt.Errorf("%s is not documented to answer %s", e.Operation, status)
		}
		c.count(e.Operation + " " + status)
	}
	return errors.Join(c.checkHeaders(response, at, e.Header), c.checkBody(response, at, e))
}

func (c *Contract) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name] = true
}

func (c *Contract) checkHeaders(response node, at string, header http.Header) error {
	documented, _ := response["headers"].(node)
	var errs []error
	for name := range header {
		if _, ok := documented[name]; !ok && !untold[name] && !(name == "Etag" && documented["ETag"] != nil) {
			errs = append(errs, fmt.Errorf("header %s is not documented", name))
		}
	}
	for name, value := range documented {
		sent := header[name] // a server may write ETag, which is not how net/http spells it
		if sent == nil {
			sent = header.Values(name)
		}
		described, place := c.resolve(value, at+pointer("headers", name))
		switch {
		case len(sent) == 0 && described["required"] == true:
			errs = append(errs, fmt.Errorf("header %s is missing", name))
		case len(sent) > 1:
			errs = append(errs, fmt.Errorf("header %s is sent %d times", name, len(sent)))
		case len(sent) == 1:
			errs = append(errs, c.validate(place+"/schema", sent[0], "header "+name))
		}
	}
	return errors.Join(errs...)
}

func (c *Contract) checkBody(response node, at string, e Exchange) error {
	content, _ := response["content"].(node)
	contentType := e.Header.Get("Content-Type")
	if e.Status == http.StatusNoContent || e.Status == http.StatusNotModified {
		if len(e.Body) > 0 || contentType != "" {
			return fmt.Errorf("%d has a body or a content type", e.Status)
		}
		return nil
	}
	if len(e.Body) == 0 && (response["x-empty"] == true || e.Method == http.MethodHead) {
		return nil
	}
	name, media := mediaType(content, contentType)
	if media == nil {
		return fmt.Errorf("content type %q is not documented", contentType)
	}
	if media["schema"] == nil {
		return nil
	}
	at += pointer("content", name, "schema")
	for i, shape := range alternatives(media) {
		title := shape["title"].(string)
		if !selects(title, e.Query) {
			continue
		}
		at += pointer("anyOf", strconv.Itoa(i))
		c.count(e.Operation + " " + strconv.Itoa(e.Status) + " " + title)
		break
	}
	var value any = string(e.Body)
	if strings.HasSuffix(name, "json") {
		var err error
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(e.Body)); err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
	}
	return c.validate(at, value, "the body")
}

// mediaType finds the documented content for a content type, or for one of a list: the
// second version of the protocol repeats the list that a client accepts.
func mediaType(content map[string]any, contentType string) (string, map[string]any) {
	for part := range strings.SplitSeq(contentType, ",") {
		name, _, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if media, ok := content[name].(node); ok && name != "" {
			return name, media
		}
	}
	media, _ := content["*/*"].(node)
	return "*/*", media
}

// selects tells whether a query selects the shape of a title: ?name or ?name=value,
// several with & between them; any other title is of the shape of all other queries.
func selects(title string, query url.Values) bool {
	rest, ok := strings.CutPrefix(title, "?")
	if !ok {
		return true
	}
	for wanted := range strings.SplitSeq(rest, "&") {
		name, value, exact := strings.Cut(wanted, "=")
		if sent := query[name]; sent == nil || exact && sent[len(sent)-1] != value {
			return false
		}
	}
	return true
}

func (c *Contract) validate(at string, value any, what string) error {
	schema, err := c.schema(at)
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
