// SPDX-License-Identifier: GPL-2.0
/*
 * Tracepoints gsched:*: each appears when what it names happens, with the M, the P,
 * the thread and the G's cookie.
 */
#include "kmod_block.h"

#define TRACING		"/sys/kernel/tracing"
#define INSTANCE	TRACING "/instances/kmod_trace"

FIXTURE(trace) {
	struct gs gs;
	struct actor *a, *t;
	struct block *b;
};

FIXTURE_SETUP(trace)
{
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		ksft_exit_skip("no %s\n", INSTANCE);
	write_file(INSTANCE "/trace", "\n");
	write_file(INSTANCE "/events/gsched/enable", "1");
	gs_start(&self->gs, 1, 2, 8, 0);
	self->a = actor_start_m(&self->gs);
	self->t = actor_start_m(&self->gs);
	self->gs.ms[self->a->id].cookie = 0xa11;
	self->gs.ms[self->t->id].cookie = 0x77;
	self->b = block_prepare(&pipe_read, self->a);
	must(make_pipe(self->b));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
}

FIXTURE_TEARDOWN(trace)
{
	gs_stop(&self->gs);
	write_file(INSTANCE "/events/gsched/enable", "0");
	EXPECT_EQ(0, rmdir(INSTANCE));
}

/*
 * How many lines have the event and the text; *@last is the number of the last one
 * among all lines.
 */
static unsigned int count_lines(const char *event, const char *text, unsigned int *last)
{
	unsigned int n = 0, line_nr = 0;
	char line[512], name[64];
	FILE *f = fopen(INSTANCE "/trace", "re");

	must(f);
	snprintf(name, sizeof(name), ": gsched_%s: ", event);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, name);

		line_nr++;
		if (!at || !strstr(at, text))
			continue;
		n++;
		*last = line_nr;
	}
	fclose(f);
	return n;
}

/* What an event says of an M that has the P, or -1. */
static void m_text(struct actor *a, int proc, char text[96])
{
	snprintf(text, 96, " m=%u proc=%d tid=%d cookie=0x%llx", a->id, proc, a->tid,
		 (unsigned long long)a->gs->ms[a->id].cookie);
}

/* Return: the number of the event's last line. */
static unsigned int expect_event(struct __test_metadata *_metadata, const char *event,
				 struct actor *a, int proc, unsigned int times)
{
	unsigned int last = 0;
	char text[96];

	m_text(a, proc, text);
	EXPECT_EQ(times, count_lines(event, text, &last)) TH_LOG("%s%s", event, text);
	return last;
}

TEST_F(trace, formats)
{
	static const struct { const char *event, *fields; } formats[] = {
		{ "block", "m proc tid cookie" }, { "unblock", "m proc tid cookie" },
		{ "handoff", "m proc tid cookie" }, { "hold", "m proc tid cookie wait_ns" },
		{ "preempt", "m proc tid cookie why" }, { "wake", "m proc tid cookie" },
		{ "ready", "proc cookie" }, { "idle", "m proc tid cookie" },
	};
	char path[128], text[4096], fields[64], want[32], *field;
	FILE *f;

	for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(path, sizeof(path), TRACING "/events/gsched/gsched_%s/format",
			 formats[i].event);
		f = fopen(path, "re");
		ASSERT_NE(NULL, f) TH_LOG("%s", path);
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
		snprintf(fields, sizeof(fields), "%s", formats[i].fields);
		for (field = strtok(fields, " "); field; field = strtok(NULL, " ")) {
			snprintf(want, sizeof(want), " %s;\toffset:", field);
			EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s%s", path, want);
		}
	}
}

/* To nobody: the M keeps its P. */
TEST_F(trace, block_and_unblock)
{
	unsigned int block, unblock;

	actor_begin(self->a, act_block);
	ASSERT_TRUE(eventually(nr_blocked(&self->gs) == 1));
	expect_event(_metadata, "unblock", self->a, 0, 0);
	write_byte(self->b);
	ASSERT_EQ(0, actor_end(self->a));
	block = expect_event(_metadata, "block", self->a, 0, 1);
	unblock = expect_event(_metadata, "unblock", self->a, 0, 1);
	EXPECT_LT(block, unblock);
	expect_event(_metadata, "handoff", self->a, 0, 0);
	expect_event(_metadata, "hold", self->a, 0, 0);
}

/* Of the first that there is. */
static int64_t wait_of_hold(void)
{
	char line[512], *at = NULL;
	FILE *f = fopen(INSTANCE "/trace", "re");
	long long ns = -1;

	must(f);
	while (!at && fgets(line, sizeof(line), f))
		at = strstr(line, " wait_ns=");
	if (at)
		sscanf(at, " wait_ns=%lld", &ns);
	fclose(f);
	return ns;
}

/* t has it for at least 60 ms. */
TEST_F(trace, handoff_and_hold)
{
	unsigned int block, handoff, unblock, hold;

	actor_begin(self->a, act_block);
	ASSERT_TRUE(eventually(nr_blocked(&self->gs) == 1));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	write_byte(self->b);
	ASSERT_TRUE(eventually(m_is(&self->gs, self->a->id, "held")));
	let_it_happen();
	ASSERT_EQ(0, actor_do(self->t, act_release));
	ASSERT_EQ(0, actor_end(self->a));
	block = expect_event(_metadata, "block", self->a, 0, 1);
	handoff = expect_event(_metadata, "handoff", self->a, 0, 1);
	unblock = expect_event(_metadata, "unblock", self->a, -1, 1);
	hold = expect_event(_metadata, "hold", self->a, 0, 1);
	EXPECT_LT(block, handoff);
	EXPECT_LT(handoff, unblock);
	EXPECT_LT(unblock, hold);
	EXPECT_LE(50 * NSEC_PER_MSEC, wait_of_hold());
	EXPECT_GT(PATIENCE_NS, wait_of_hold());
}

TEST_F(trace, idle_and_wake)
{
	unsigned int idle, wake;

	ASSERT_EQ(0, actor_do(self->a, act_release));
	actor_begin_idle(self->t);
	ASSERT_EQ(0, gs_wake(&self->gs));
	ASSERT_EQ(0, actor_end(self->t));
	idle = expect_event(_metadata, "idle", self->t, -1, 1);
	wake = expect_event(_metadata, "wake", self->t, 0, 1);
	EXPECT_LT(idle, wake);
}

TEST_F(trace, ready)
{
	unsigned int last;

	ASSERT_EQ(0, gs_enqueue(&self->gs, 0, 0xc0de));
	EXPECT_EQ(1U, count_lines("ready", " proc=0 cookie=0xc0de\n", &last));
}

/* why: 1 for who has become able to run, 2 for who has waited, 3 to retire. */
static void expect_preempt(struct __test_metadata *_metadata, struct actor *a, int proc,
			   int why)
{
	unsigned int last;
	char text[128];

	m_text(a, proc, text);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " why=%d\n", why);
	EXPECT_EQ(1U, count_lines("preempt", text, &last)) TH_LOG("%s", text);
}

TEST_F(trace, preempt)
{
	struct gs *gs = &self->gs;
	struct block *b;

	if (!(gs_features(gs) & GSCHED_FEAT_PREEMPT))
		SKIP(return, "this kernel has no preemption");

	b = block_prepare(&spin, self->a);
	actor_begin(self->a, act_block);
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	expect_preempt(_metadata, self->a, 0, 1);
	futex_wake(b);
	ASSERT_EQ(0, actor_do(self->t, act_release));
	ASSERT_EQ(0, actor_end(self->a));

	b = block_prepare(&spin, self->a);
	actor_begin_idle(self->t);
	actor_begin(self->a, act_block);
	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	gs_wake(gs);
	ASSERT_EQ(0, actor_end(self->t));
	take_spinning(gs);
	gs->procs[0].tail = 0;
	expect_preempt(_metadata, self->a, 0, 2);
	futex_wake(b);
	ASSERT_EQ(0, actor_do(self->t, act_release));
	ASSERT_EQ(0, actor_end(self->a));

	/* t has P 0, and a, on P 1, is one too many. */
	ASSERT_EQ(0, actor_do(self->a, act_release));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	b = block_prepare(&spin, self->a);
	actor_begin(self->a, act_block);
	ASSERT_EQ(0, gs_set_procs(gs, 1));
	EXPECT_TRUE(eventually(load32(&gs->procs[1].state) == GSCHED_P_DEAD));
	ASSERT_TRUE(eventually(m_is(gs, self->a->id, "preempted")));
	expect_preempt(_metadata, self->a, 1, 3);
	futex_wake(b);
	ASSERT_EQ(0, actor_do(self->t, act_release));
	ASSERT_EQ(0, actor_end(self->a));
}

int main(int argc, char **argv)
{
	if (access(GSCHED_DEVICE, F_OK) || access(TRACING "/instances", W_OK))
		ksft_exit_skip("no %s, or no %s\n", GSCHED_DEVICE, TRACING);
	return test_harness_run(argc, argv);
}
