package main

import "sallyport/examples"

// documentTexts are the written policies that the configuration names, as Markdown, by the names of their files; where it names none and the program's own
// policies hold, theirs.
func (c *Config) documentTexts() (map[string]string, error) {
	if len(c.Console.Documents) == 0 {
		if c.policyFolder() != "" {
			return nil, nil
		}
		return map[string]string{examples.AccessPolicyName: string(examples.AccessPolicy)}, nil
	}
	var paths []string
	for _, name := range c.Console.Documents {
		paths = append(paths, c.path(name))
	}
	return documentsAt(paths)
}
