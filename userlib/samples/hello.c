// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* hello: three goroutines say hello through a channel, in whatever order they run. */
#include <stdio.h>
#include <gsched.h>

static gs_chan *hellos;

static void say_hello(void *name)
{
	gs_chan_send(hellos, &name);
}

static int run(int argc, char **argv)
{
	static char *names[] = { "Ada", "Barbara", "Grace" };
	char *name;

	(void)argc, (void)argv;
	hellos = gs_chan_new(sizeof(name), 0);
	for (int i = 0; i < 3; i++)
		if (gs_go(say_hello, names[i]))
			return 1;
	for (int i = 0; i < 3; i++) {
		gs_chan_recv(hellos, &name);
		printf("hello from %s\n", name);
	}
	gs_chan_unref(hellos);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv);
}
