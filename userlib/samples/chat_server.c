// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * chat_server: whoever connects and says a name can talk to all the others, until an
 * empty line.
 *
 *   chat_server [NETWORK ADDRESS]	default: tcp :7008
 *
 * Each connection has two goroutines: one reads lines, one writes what others say. A
 * single goroutine, the hub, knows who is there: it alone touches the list of clients,
 * so there is no lock. What it waits for stands in one select.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsched.h>

#define LINE_SIZE	256
#define BACKLOG		64			/* lines that a client may be behind */
#define IDLE_NS		(600 * 1000000000LL)	/* who says nothing for so long is out */
#define GOODBYE_NS	(5 * 1000000000LL)	/* to take the last lines */

struct line {
	char text[LINE_SIZE];
};

/*
 * A client is on its reader's stack. The hub closes @out when it has forgotten the
 * client; that ends the writer, and then the reader goes.
 */
struct client {
	struct client *next;		/* the hub's */
	int fd;
	gs_chan *out;			/* struct line */
	gs_group writer;
	char name[32];
};

static gs_chan *joins, *leaves;		/* struct client * */
static gs_chan *said;			/* struct line */

/* ------------------------------------------------------------------------- the hub */

static struct client *clients;
static int nr_clients;
static struct client *joining, *leaving;	/* what its select has received */

/* Never waits: a client that does not read must not stop the others. */
static void tell_all(const struct line *line)
{
	for (struct client *c = clients; c; c = c->next)
		gs_chan_try_send(c->out, line);
}

static void announce(const char *name, const char *what)
{
	struct line line;

	snprintf(line.text, sizeof(line.text), "* %s %s, %d here\n", name, what, nr_clients);
	tell_all(&line);
}

static void client_joins(struct client *c)
{
	gs_chan_ref(c->out);
	c->next = clients;
	clients = c;
	nr_clients++;
	announce(c->name, "comes");
}

static void client_leaves(struct client *c)
{
	struct client **at = &clients;
	gs_chan *out = c->out;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	nr_clients--;
	announce(c->name, "goes");
	gs_chan_close(out);		/* ends @c's life; not the channel's: we have a reference */
	gs_chan_unref(out);
}

static void hub(void *arg)
{
	struct line line;
	struct gs_case cases[] = {
		{ .chan = joins, .recv = &joining, .dir = GS_RECV },
		{ .chan = leaves, .recv = &leaving, .dir = GS_RECV },
		{ .chan = said, .recv = &line, .dir = GS_RECV },
	};

	(void)arg;
	for (;;) {
		switch (gs_select(cases, 3)) {
		case 0:
			client_joins(joining);
			break;
		case 1:
			client_leaves(leaving);
			break;
		case 2:
			tell_all(&line);
			break;
		default:
			fprintf(stderr, "chat_server: select failed\n");
			exit(1);
		}
	}
}

/* --------------------------------------------------------------------- a connection */

/* Return: the line's length without its end; 0 or less: the connection ends. */
static ssize_t read_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1) {
		ssize_t n = gs_read_until(fd, line + len, 1, gs_now() + IDLE_NS);

		if (n <= 0)
			return n;
		if (line[len] == '\n')
			break;
		if (line[len] != '\r')
			len++;
	}
	line[len] = '\0';
	return len;
}

static int write_lines(void *arg)
{
	struct client *c = arg;
	struct line line;

	while (gs_chan_recv(c->out, &line) == 1) {
		size_t len = strlen(line.text);

		if (gs_write(c->fd, line.text, len) != (ssize_t)len)
			break;
	}
	return 0;
}

static void talk(struct client *c)
{
	char text[LINE_SIZE - sizeof(c->name) - 8];
	struct line line;

	if (gs_group_go(&c->writer, write_lines, c))
		return;
	gs_chan_send(joins, &c);
	while (read_line(c->fd, text, sizeof(text)) > 0) {
		snprintf(line.text, sizeof(line.text), "%s: %s\n", c->name, text);
		gs_chan_send(said, &line);
	}
	gs_chan_send(leaves, &c);
	/* What is in c->out still goes out, if the other side reads it. */
	gs_group_wait_until(&c->writer, gs_now() + GOODBYE_NS);
}

static void serve(void *arg)
{
	struct client c = { .fd = (int)(intptr_t)arg, .writer = GS_GROUP_INIT };

	c.out = gs_chan_new(sizeof(struct line), BACKLOG);
	if (c.out && read_line(c.fd, c.name, sizeof(c.name)) > 0)
		talk(&c);
	gs_chan_unref(c.out);
	gs_close(c.fd);
}

static int run(int argc, char **argv)
{
	const char *network = argc > 2 ? argv[1] : "tcp", *address = argc > 2 ? argv[2] : ":7008";
	int listener = gs_listen(network, address), fd;

	if (listener < 0) {
		fprintf(stderr, "chat_server: %s: %s\n", address, strerror(-listener));
		return 1;
	}
	joins = gs_chan_new(sizeof(struct client *), 0);
	leaves = gs_chan_new(sizeof(struct client *), 0);
	said = gs_chan_new(sizeof(struct line), 0);
	if (!joins || !leaves || !said || gs_go(hub, NULL))
		return 1;
	printf("chat_server: %s %s\n", network, address);
	fflush(stdout);
	while ((fd = gs_accept(listener, NULL, NULL)) >= 0)
		if (gs_go(serve, (void *)(intptr_t)fd))
			gs_close(fd);
	fprintf(stderr, "chat_server: accept: %s\n", strerror(-fd));
	return 1;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv) ? 1 : 0;
}
