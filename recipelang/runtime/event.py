"""The six events of a run."""

from enum import Enum


class Event(Enum):
    """When modifiers act. The loop, in full:

        fire(START)
        for step in range(steps):
            fire(STEP_START)              # masks may change, the step's learning rate is set
            for part in micro_batches:
                outputs = model(part)
                fire(LOSS)                # terms are added to the task's loss
                backward(loss)
            fire(GRADIENTS)               # before clipping: masked weights get no gradient
            clip(); optimizer.step()
            fire(STEP_END)
        fire(END)                         # events that fall on the very last moment

    Modifiers act in the order of the plan.
    """

    START = "start"
    STEP_START = "step_start"
    LOSS = "loss"
    GRADIENTS = "gradients"
    STEP_END = "step_end"
    END = "end"
