package rbac

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/kljensen/snowball/english"
)

// index finds resources by the words of their identifier, kind and annotation
// values. Words are compared by their English stem, without regard to case; common
// words are left out. A nil index takes in nothing and finds nothing.
type index struct {
	of map[string]map[*Resource]int32 // by stem: how often a resource has it
}

// Searchable tells whether UseSearch has taken in an index: without one nothing is
// found.
func (g *Graph) Searchable() bool { return g.search != nil }

// Search is an index that is made while the graph is only read.
type Search struct {
	index *index
	texts uint64
}

// NewSearch makes an index of the graph as it is. It reads every resource.
func (g *Graph) NewSearch() *Search {
	built := &index{of: map[string]map[*Resource]int32{}}
	for _, x := range g.resources {
		built.addID(x)
		for _, a := range x.Annotations {
			built.add(x, a.Value)
		}
	}
	return &Search{index: built, texts: g.texts}
}

// UseSearch makes the graph searchable, and keeps it so. It refuses an index that
// has become stale.
func (g *Graph) UseSearch(s *Search) bool {
	if s.texts != g.texts {
		return false
	}
	g.search = s.index
	return true
}

func (i *index) addID(x *Resource) {
	i.add(x, x.ID.Kind())
	i.add(x, x.ID.Identifier())
}

func (i *index) removeID(x *Resource) {
	i.remove(x, x.ID.Kind())
	i.remove(x, x.ID.Identifier())
}

func (i *index) add(x *Resource, text string) {
	if i == nil {
		return
	}
	for _, stem := range stems(text) {
		set := i.of[stem]
		if set == nil {
			set = map[*Resource]int32{}
			i.of[stem] = set
		}
		set[x]++
	}
}

// remove takes back what add did for the same text.
func (i *index) remove(x *Resource, text string) {
	if i == nil {
		return
	}
	for _, stem := range stems(text) {
		set := i.of[stem]
		if set[x]--; set[x] == 0 {
			delete(set, x)
		}
		if len(set) == 0 {
			delete(i.of, stem)
		}
	}
}

// Match is a prepared search. It is good until the graph changes.
type Match struct {
	sets []map[*Resource]int32 // all must have the resource; nil: nothing matches
}

// Find prepares a search for resources that have every word of the text. A text
// without any significant word finds nothing.
func (g *Graph) Find(text string) Match {
	var m Match
	for _, stem := range stems(text) {
		if g.search == nil {
			return Match{}
		}
		set := g.search.of[stem]
		if len(set) == 0 {
			return Match{}
		}
		m.sets = append(m.sets, set)
	}
	return m
}

// Has tells whether a resource is found.
func (m Match) Has(x *Resource) bool {
	for _, set := range m.sets {
		if _, ok := set[x]; !ok {
			return false
		}
	}
	return len(m.sets) > 0
}

// smallest is the shortest list in which everything found must be.
func (m Match) smallest() map[*Resource]int32 {
	var least map[*Resource]int32
	for _, set := range m.sets {
		if least == nil || len(set) < len(least) {
			least = set
		}
	}
	return least
}

// stemmed remembers stems, because accounts use few words very often.
var stemmed struct {
	sync.RWMutex
	of map[string]string
}

const (
	rememberedStems = 50_000
	longestWord     = 64 // bytes; a longer one is data: compared as it is
)

func stem(word string) string {
	stemmed.RLock()
	s, ok := stemmed.of[word]
	stemmed.RUnlock()
	if ok {
		return s
	}
	s = english.Stem(word, false)
	stemmed.Lock()
	defer stemmed.Unlock()
	if stemmed.of == nil || len(stemmed.of) >= rememberedStems {
		stemmed.of = map[string]string{}
	}
	stemmed.of[strings.Clone(word)] = s
	return s
}

// stems returns the stems of the words of a text: runs of letters and digits.
func stems(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	words = slices.DeleteFunc(words, english.IsStopWord)
	for i, word := range words {
		if len(word) <= longestWord {
			words[i] = stem(word)
		}
	}
	return words
}
