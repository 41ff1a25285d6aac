// SPDX-License-Identifier: GPL-2.0
/*
 * Has the kernel complained? So that a fuzzer stops at the program that made it.
 */
#include "fuzz.h"

#include <regex.h>

#define MAX_PATTERNS	128

static struct {
	regex_t regex;
	bool harmless;
} pattern[MAX_PATTERNS];
static unsigned int nr_patterns;
static int kmsg = -1;

/** splat_init - read vm/splat.patterns; without it nothing is a splat. */
void splat_init(const char *patterns)
{
	FILE *f = fopen(patterns, "re");
	char line[256];

	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
	while (f && nr_patterns < MAX_PATTERNS && fgets(line, sizeof(line), f)) {
		bool harmless = line[0] == '!';

		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#' ||
		    regcomp(&pattern[nr_patterns].regex, line + harmless, REG_EXTENDED | REG_NOSUB))
			continue;
		pattern[nr_patterns++].harmless = harmless;
	}
	if (f)
		fclose(f);
}

static bool is_splat(const char *line)
{
	bool any = false;

	for (unsigned int i = 0; i < nr_patterns; i++) {
		if (regexec(&pattern[i].regex, line, 0, NULL, 0))
			continue;
		if (pattern[i].harmless)
			return false;
		any = true;
	}
	return any;
}

/** splat_seen - is there a splat since the last call? It is printed. */
bool splat_seen(void)
{
	char line[2048];
	bool any = false;
	ssize_t n;

	while (kmsg >= 0 && ((n = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE)) {
		if (n <= 0)
			continue;
		line[n] = '\0';
		if (!is_splat(line))
			continue;
		printf("# splat: %s", line);
		fflush(stdout);
		any = true;
	}
	return any;
}
