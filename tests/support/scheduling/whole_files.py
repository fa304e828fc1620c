"""pytest-xdist's ``--dist loadfile`` that goes on when a worker's process ends.

A worker of xdist 3.8 runs its last test only when it gets another or is told that there is none.
After a worker's end the others get its files, those among them that are done too, and a new one
gets one file: with no test or one test in it, it waits for ever. The test that ended the process
runs again, and ends another.
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

    def _reschedule(self, node: WorkerController) -> None:
        """Files until there is work in reserve, or the word that there are no more."""
        if node not in self.registered_collections:  # it still looks for its tests
            return
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2:
            super()._reschedule(node)
