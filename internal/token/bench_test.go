package token_test

import (
	"strings"
	"testing"
	"time"
)

func BenchmarkVerifyRemembered(b *testing.B) {
	v, _, key := newVerifier(b)
	authorization := header(issue(b, key, "host/apps/web-01"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(authorization, noon, client); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRememberedParallel(b *testing.B) {
	v, _, key := newVerifier(b)
	authorization := header(issue(b, key, "host/apps/web-01"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(authorization, noon, client); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkVerifyFirst(b *testing.B) {
	v, _, key := newVerifier(b)
	authorization := header(issue(b, key, "host/apps/web-01")) + strings.Repeat(" ", 2048) // too long to remember
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(authorization, noon, client); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	key := newKey(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Issue("host/apps/web-01", noon, 8*time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}
