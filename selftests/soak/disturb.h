/* SPDX-License-Identifier: GPL-2.0 */
/* disturb.h: what happens to the soak test's workers, and to the machine. */
#ifndef SOAK_DISTURB_H
#define SOAK_DISTURB_H

#include "soak.h"

/* Disturb at random, until soak->calm. Each disturbance is undone when it ends. */
void disturb(struct soak *soak, unsigned int seed);

/* Undo what a disturber that was itself killed may have left. */
void disturb_undo(struct soak *soak);

#endif /* SOAK_DISTURB_H */
