package predict

import "testing"

// TestQuestionDropsCourtesies: what is polite at the ends goes, what asks stays.
func TestQuestionDropsCourtesies(t *testing.T) {
	t.Parallel()
	const q = "Who wrote Middlemarch?"
	for _, tt := range []struct{ text, want string }{
		{q, q},
		{"  \n\t" + q + " \n\n\t \n", q},
		{"Hi! " + q, q},
		{"hello there. i hope you're doing well! Could you please help me with the following question?\n\n" + q + "\n\nThank you so much!", q},
		{"DEAR ASSISTANT: " + q + " Thanks in advance", q},
		{"Please help me with my tax return. Thanks!", "Please help me with my tax return."},
		{"Please translate this: chien", "Please translate this: chien"},
		{"Thanks!", "Thanks!"},
		{"Hi. Thanks! Please.", "Hi. Thanks! Please."},
		{"hello", "hello"},
		{"What is this? And this?", "What is this? And this?"}, // nothing polite
		{"Hi 2! " + q, "Hi 2! " + q},
		{"", ""},
		{" \n", ""},
		{"?!", "?!"},
		{"Thanks, 谢谢! " + q, "Thanks, 谢谢! " + q},
	} {
		if got := string(question([]byte(tt.text))); got != tt.want {
			t.Errorf("question(%q) is %q, want %q", tt.text, got, tt.want)
		}
	}
}

// FuzzQuestion: the question is a part of the text, never nothing where the text
// is something, and as white space around it varies it does not.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte("Hi! Who? Thanks."))
	f.Add([]byte("...!!!???"))
	f.Add([]byte("please\n\n\nthanks\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := string(question(text))
		if len(trimSpace(text)) > 0 && got == "" {
			t.Errorf("question(%q) is empty", text)
		}
		if again := string(question([]byte("\n " + string(text) + " \t\r\n"))); again != got {
			t.Errorf("question(%q) is %q, with white space around it %q", text, got, again)
		}
	})
}
