"""pytest-xdist's ``--dist loadfile`` that goes on when a worker's process ends.

xdist 3.8 gives the files of such a worker to the others, those among them that are done too: a
worker that gets a file without tests waits for ever. It also runs the test that ended the process
again, in a process that it ends again.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


class WholeFiles(LoadFileScheduling):
    def remove_node(self, node: WorkerController) -> str | None:
        """The test at which the process ended, if it had any left; the others run elsewhere."""
        workload = self.assigned_work.pop(node)
        pending = [name for tests in workload.values() for name, done in tests.items() if not done]
        if not pending:
            return None
        for file, tests in workload.items():
            if pending[0] in tests:
                tests[pending[0]] = True
            if not all(tests.values()):
                self.workqueue[file] = tests
        for other in self.assigned_work:
            self._reschedule(other)
        return pending[0]
