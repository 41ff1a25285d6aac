// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * net.c: gs_listen and gs_dial.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "net.h"
#include "sysio.h"
#include "waitq.h"

static bool is_tcp(const struct addrinfo *ai)
{
	return ai->ai_family != AF_UNIX && ai->ai_socktype == SOCK_STREAM;
}

static int open_for(const struct addrinfo *ai)
{
	return gs_socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
}

/* ----------------------------------------------------------------------- listen */

static int set_up(int fd, const struct addrinfo *ai, bool v6only)
{
	int ret = 0;

	if (ai->ai_family == AF_INET6)
		ret = sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	if (!ret && is_tcp(ai))
		ret = sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!ret)
		ret = sys_bind(fd, ai->ai_addr, ai->ai_addrlen);
	if (!ret && ai->ai_socktype != SOCK_DGRAM)
		ret = sys_listen(fd, SOMAXCONN);
	return ret;
}

static int listen_at(const struct addrinfo *ai, bool v6only)
{
	int fd = open_for(ai), ret;

	if (fd < 0)
		return fd;
	ret = set_up(fd, ai, v6only);
	if (!ret)
		return fd;
	gs_close(fd);
	return ret;
}

static int listen_family(const struct network *net, int family, const char *address)
{
	const struct addrinfo *ai;
	struct net_addrs a;
	int ret = net_resolve(&a, net, family, address, true);

	if (ret)
		return ret;
	for (ai = a.list; ai; ai = ai->ai_next) {
		ret = listen_at(ai, net->family == AF_INET6);
		if (ret >= 0)
			break;
	}
	net_release(&a);
	return ret;
}

int gs_listen(const char *network, const char *address)
{
	const struct network *net = net_find(network);
	int ret;

	call_begin();
	if (!net)
		return -EINVAL;
	if (net->family != AF_UNSPEC || *address != ':')
		return listen_family(net, net->family, address);
	/* All addresses: an IPv6 socket serves IPv4, too. */
	ret = listen_family(net, AF_INET6, address);
	if (ret == -EAFNOSUPPORT || ret == -EADDRNOTAVAIL)
		ret = listen_family(net, AF_INET, address);
	return ret;
}

/* ------------------------------------------------------------------------- dial */

static int dial_at(const struct addrinfo *ai, int64_t deadline)
{
	int fd = open_for(ai), ret;

	if (fd < 0)
		return fd;
	ret = is_tcp(ai) ? sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1) : 0;
	if (!ret)
		ret = gs_connect_until(fd, ai->ai_addr, ai->ai_addrlen, deadline);
	if (!ret)
		return fd;
	gs_close(fd);
	return ret;
}

/* Has the whole call failed with @ret, or only one address? */
static bool gives_up(int ret, int64_t deadline)
{
	return ret == -ECANCELED || (ret == -ETIMEDOUT && deadline_passed(deadline));
}

int gs_dial_until(const char *network, const char *address, int64_t deadline)
{
	const struct network *net = net_find(network);
	const struct addrinfo *ai;
	struct net_addrs a;
	int ret;

	call_begin();
	if (!net)
		return -EINVAL;
	ret = net_resolve(&a, net, net->family, address, false);
	if (ret)
		return ret;
	for (ai = a.list; ai; ai = ai->ai_next) {
		ret = dial_at(ai, deadline);
		if (ret >= 0 || gives_up(ret, deadline))
			break;
	}
	net_release(&a);
	return ret;
}

int gs_dial(const char *network, const char *address)
{
	return gs_dial_until(network, address, NO_DEADLINE);
}
