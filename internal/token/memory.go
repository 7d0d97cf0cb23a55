package token

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

const (
	maxRemembered = 100_000
	maxHeader     = 2048 // longer headers are verified each time, so that memory stays bounded
	shardCount    = 64
	sweepEvery    = time.Minute
)

// memory holds verified tokens by the whole text of their header. It is bounded:
// when it is full, new tokens displace arbitrary ones. It is in shards so that
// requests do not wait for each other.
type memory struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[uint64]entry // by hash; on a collision the later header stays
	swept   time.Time
}

type entry struct {
	header string
	token  *verified
}

func newMemory() *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].entries = map[uint64]entry{}
	}
	return m
}

func (m *memory) locate(header string) (*shard, uint64) {
	hash := maphash.String(m.seed, header)
	return &m.shards[hash%shardCount], hash
}

// get is the token of a header, nil if it is not remembered.
func (m *memory) get(header string) *verified {
	if len(header) > maxHeader {
		return nil
	}
	s, hash := m.locate(header)
	s.mu.RLock()
	e := s.entries[hash]
	s.mu.RUnlock()
	if e.header != header {
		return nil
	}
	return e.token
}

func (m *memory) put(header string, token *verified, now time.Time) {
	if len(header) > maxHeader {
		return
	}
	s, hash := m.locate(header)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= sweepEvery {
		s.sweep(now)
	}
	if len(s.entries) >= maxRemembered/shardCount {
		for arbitrary := range s.entries {
			delete(s.entries, arbitrary)
			break
		}
	}
	// The header may be a part of a larger text, which is not to be kept.
	s.entries[hash] = entry{strings.Clone(header), token}
}

func (m *memory) forget(header string) {
	s, hash := m.locate(header)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[hash].header == header {
		delete(s.entries, hash)
	}
}

// sweep forgets the tokens that have expired.
func (s *shard) sweep(now time.Time) {
	for hash, e := range s.entries {
		if !now.Before(e.token.claims.ExpiresAt) {
			delete(s.entries, hash)
		}
	}
	s.swept = now
}
