package token

// Sign makes the token of any payload, valid or not.
func (k *Key) Sign(payload string) []byte { return k.sign(payload) }

// MaxRemembered is how many tokens are remembered at most.
const MaxRemembered = maxRemembered

// Remembered counts the remembered tokens.
func (v *Verifier) Remembered() int {
	n := 0
	for i := range v.remembered.shards {
		s := &v.remembered.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}

// Remember puts a token under a header as if it had been verified there.
func (v *Verifier) Remember(header, as string) bool {
	token := v.remembered.get(as)
	if token == nil {
		return false
	}
	v.remembered.put(header, token, token.claims.IssuedAt)
	return true
}
