// checklog checks an exported log with golang.org/x/mod's sumdb/note and sumdb/tlog, and shares no
// code with the service: what it accepts, existing tools for transparency logs accept.
//
//	checklog DIR VKEY
//	checklog proof FILE VKEY
//
// It opens the checkpoint, hashes every entry again, compares root and tiles, and makes and checks
// proofs out of the tile files alone; or it checks one entry's .tlog-proof, which holds the entry.
// Exit codes: 0 good, 1 broken, 2 usage.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// openCheckpoint returns the tree that the log's key vouches for in a signed note.
func openCheckpoint(data []byte, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tree, errors.New("checkpoint: not three lines")
	}
	if lines[0] != verifier.Name() {
		return tree, errors.New("checkpoint: not the key's origin")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || tree.N < 0 {
		return tree, errors.New("checkpoint: no size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, errors.New("checkpoint: no root")
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// path is where tlog-tiles puts a tile; the module's own scheme has the height in it, and another
// name for the entries.
func path(t tlog.Tile) string {
	own := t.Path()
	if t.L == -1 {
		return strings.Replace(own, "tile/8/data/", "tile/entries/", 1)
	}
	return strings.Replace(own, "tile/8/", "tile/", 1)
}

// stored holds every hash of the tree, as tlog numbers them.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, errors.New("a hash beyond the tree")
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

// hashEntries hashes the entries of all bundles of a log of size n.
func hashEntries(dir string, n int64) (stored, error) {
	var hashes stored
	for first := int64(0); first < n; first += tileWidth {
		width := n - first
		if width > tileWidth {
			width = tileWidth
		}
		name := path(tlog.Tile{H: tileHeight, L: -1, N: first / tileWidth, W: int(width)})
		bundle, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			if len(bundle) < 2 {
				return nil, fmt.Errorf("%s: entry %d is missing", name, first+i)
			}
			size := int(binary.BigEndian.Uint16(bundle))
			if len(bundle) < 2+size {
				return nil, fmt.Errorf("%s: entry %d is cut short", name, first+i)
			}
			added, err := tlog.StoredHashes(first+i, bundle[2:2+size], hashes)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, added...)
			bundle = bundle[2+size:]
		}
		if len(bundle) != 0 {
			return nil, fmt.Errorf("%s: more than its %d entries", name, width)
		}
	}
	return hashes, nil
}

// tileFiles reads the tiles of an export for tlog.TileHashReader.
type tileFiles string

func (dir tileFiles) Height() int                     { return tileHeight }
func (dir tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (dir tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(string(dir), path(t)))
		if err != nil {
			return nil, err
		}
		if len(data) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: not its length", path(t))
		}
		all = append(all, data)
	}
	return all, nil
}

// checkTiles compares every tile of a log of size n with what its entries hash to.
func checkTiles(dir string, n int64, hashes stored) (int, error) {
	checked := 0
	tiles := tlog.NewTiles(tileHeight, 0, n)
	for i, t := range tiles {
		// Of a partial tile NewTiles names every width on its way; an export has the widest.
		if i+1 < len(tiles) && tiles[i+1].L == t.L && tiles[i+1].N == t.N {
			continue
		}
		want, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return 0, err
		}
		data, err := os.ReadFile(filepath.Join(dir, path(t)))
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(data, want) {
			return 0, fmt.Errorf("%s: not the hashes of its entries", path(t))
		}
		checked++
	}
	return checked, nil
}

// checkProofs makes inclusion and consistency proofs from the tile files and checks them against
// what the entries hash to.
func checkProofs(dir string, tree tlog.Tree, hashes stored) (int, error) {
	reader := tlog.TileHashReader(tree, tileFiles(dir))
	proofs := 0
	for _, n := range []int64{1, 2, 3, 7, 255, 256, 257, 511, 513, 12345, 65535, 65536, 65537, tree.N - 1, tree.N} {
		if n < 1 || n > tree.N {
			continue
		}
		leaf := hashes[tlog.StoredHashIndex(0, n-1)]
		record, err := tlog.ProveRecord(tree.N, n-1, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, n-1, leaf); err != nil {
			return 0, fmt.Errorf("inclusion of entry %d: %w", n-1, err)
		}
		old, err := tlog.TreeHash(n, hashes)
		if err != nil {
			return 0, err
		}
		consistency, err := tlog.ProveTree(tree.N, n, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(consistency, tree.N, tree.Hash, n, old); err != nil {
			return 0, fmt.Errorf("consistency with size %d: %w", n, err)
		}
		proofs += 2
	}
	return proofs, nil
}

func check(dir, vkey string) error {
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(data, vkey)
	if err != nil {
		return err
	}
	if tree.N == 0 {
		return errors.New("an empty log: nothing was checked")
	}
	hashes, err := hashEntries(dir, tree.N)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the %d entries do not hash to the checkpoint's root", tree.N)
	}
	tiles, err := checkTiles(dir, tree.N, hashes)
	if err != nil {
		return err
	}
	proofs, err := checkProofs(dir, tree, hashes)
	if err != nil {
		return err
	}
	fmt.Printf("checklog: good: %d entries, %d tiles, %d proofs\n", tree.N, tiles, proofs)
	return nil
}

// checkProof checks a .tlog-proof whose extra data is the entry.
func checkProof(file, vkey string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("no proof")
	}
	if !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("no entry and index")
	}
	index, err := strconv.ParseInt(lines[2][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	entry, err := base64.StdEncoding.Strict().DecodeString(lines[1][len("extra "):])
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), vkey)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("checklog: good: entry %d of %d\n", index, tree.N)
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "proof":
		err = checkProof(os.Args[2], os.Args[3])
	case len(os.Args) == 3:
		err = check(os.Args[1], os.Args[2])
	default:
		fmt.Fprintln(os.Stderr, "usage: checklog DIR VKEY | checklog proof FILE VKEY")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "checklog: broken:", err)
		os.Exit(1)
	}
}
