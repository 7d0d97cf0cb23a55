package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/seal"
)

const heading = "a test's heading"

func stream(t testing.TB, root *seal.Root, plain []byte, portions func() int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := root.NewWriter(rand.Reader, &out, []byte(heading))
	for len(plain) > 0 && err == nil {
		n := min(portions(), len(plain))
		_, err = w.Write(plain[:n])
		plain = plain[n:]
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unstream(root *seal.Root, sealed []byte) ([]byte, error) {
	begins, sealed := sealed[:min(len(heading), len(sealed))], sealed[min(len(heading), len(sealed)):]
	r, err := root.NewReader(bytes.NewReader(sealed), begins)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestStreamsOfAnyLengthComeBack(t *testing.T) {
	root := newRoot(t, "a test")
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 65535, 65536, 65537, 131072, 200_000} {
		plain := make([]byte, n)
		rand.Read(plain)
		sealed := stream(t, root, plain, func() int { return 1 + rng.IntN(100_000) })
		got, err := unstream(root, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d come back, %v", n, len(got), err)
		}
		if n > 0 && bytes.Contains(sealed, plain[:min(n, 16)]) && n > 16 {
			t.Errorf("%d bytes are readable", n)
		}
	}
}

// What is given out of a damaged stream is at most a beginning of it, and never its end.
func TestADamagedStreamIsRefused(t *testing.T) {
	root := newRoot(t, "a test")
	plain := bytes.Repeat([]byte("0123456789abcdef"), 10_000) // two frames and a half
	sealed := stream(t, root, plain, func() int { return 5000 })
	refused := func(what string, bad []byte) {
		t.Helper()
		got, err := unstream(root, bad)
		if !fault.Is(err, fault.Invalid) || !bytes.HasPrefix(plain, got) || len(got) == len(plain) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	rng := mathrand.New(mathrand.NewPCG(3, 4))
	for range 300 {
		bad := bytes.Clone(sealed)
		bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
		refused("a flipped bit", bad)
		refused("a cut", sealed[:rng.IntN(len(sealed))])
	}
	const begin, frame = len(heading) + 69, 65536 + 28
	refused("an end at a frame", sealed[:begin+frame])
	refused("something behind it", append(bytes.Clone(sealed), 0))
	refused("a frame twice", append(bytes.Clone(sealed[:begin+frame]), sealed[begin:]...))
	refused("a frame left out", append(bytes.Clone(sealed[:begin]), sealed[begin+frame:]...))
	swapped := append(bytes.Clone(sealed[:begin]), sealed[begin+frame:begin+2*frame]...)
	swapped = append(append(swapped, sealed[begin:begin+frame]...), sealed[begin+2*frame:]...)
	refused("two frames swapped", swapped)
	other := stream(t, root, plain, func() int { return 5000 })
	refused("a frame of another stream", append(bytes.Clone(sealed[:begin+frame]), other[begin+frame:]...))
}

func TestAStreamOfAnotherKeyIsRefusedByName(t *testing.T) {
	made, given := newRoot(t, "made"), newRoot(t, "given")
	_, err := unstream(given, stream(t, made, []byte("x"), func() int { return 1 }))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), made.Fingerprint()) || !strings.Contains(err.Error(), given.Fingerprint()) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
func (broken) Read([]byte) (int, error)  { return 0, io.ErrNoProgress }

func TestAStreamPassesFailuresOn(t *testing.T) {
	root := newRoot(t, "a test")
	if _, err := root.NewWriter(rand.Reader, broken{}, nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
	sealed := stream(t, root, []byte("x"), func() int { return 1 })
	r, err := root.NewReader(io.MultiReader(bytes.NewReader(sealed[len(heading):]), broken{}), []byte(heading))
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}
