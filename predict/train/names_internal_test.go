package train

import (
	"fmt"
	"testing"
)

// TestTasksOfTwoSources: a task that two sources share is one of each source's.
func TestTasksOfTwoSources(t *testing.T) {
	t.Parallel()
	d := &Data{Prompts: []Prompt{
		{Source: "easy", Task: "puzzles/maze"},
		{Source: "hard", Task: "puzzles/maze"},
		{Source: "easy", Task: "puzzles/maze"},
		{Source: "easy", Task: "puzzles/sums"},
		{Source: "a", Task: "chat"},
		{Source: "b", Task: "chat"},
	}}
	names := taskNames(d)
	for i, want := range []string{"easy/maze", "hard/maze", "easy/maze", "puzzles/sums", "a/chat", "b/chat"} {
		if got := names(&d.Prompts[i]); got != want {
			t.Errorf("%s of %s is called %q, want %q", d.Prompts[i].Task, d.Prompts[i].Source, got, want)
		}
	}
}

// TestKindsAreLeftOutWhole: a benchmark is in one fold, both sources of it
// together, and folds are about as large as benchmarks allow.
func TestKindsAreLeftOutWhole(t *testing.T) {
	t.Parallel()
	r := &run{data: &Data{}}
	for kind, n := range map[string]int{"a": 50, "b": 40, "c": 30, "d": 20} {
		for i := range n {
			r.prompts = append(r.prompts, len(r.data.Prompts))
			r.data.Prompts = append(r.data.Prompts, Prompt{Source: fmt.Sprint("s", i%2), Task: fmt.Sprintf("%s/%d", kind, i%3)})
		}
	}
	foldOfKind, size := map[byte]int{}, map[int]int{}
	for i, f := range r.kindFolds() {
		kind := r.data.Prompts[i].Task[0]
		if before, ok := foldOfKind[kind]; ok && before != f {
			t.Fatalf("kind %c is in folds %d and %d", kind, before, f)
		}
		foldOfKind[kind] = f
		size[f]++
	}
	if len(size) != folds || size[0] != 50 || size[1] != 40 || size[2] != 50 {
		t.Errorf("folds of %v prompts, want 50, 40 and 30 with 20", size)
	}
}
