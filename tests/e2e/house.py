"""One coordinator with its repository, one agent with its disks, and the console: set up, asked, looked after."""
import json
import os
import shutil
import subprocess

import cases
import disks
import packs
import programs

HOST = 'host-1'
CONSOLE = 'console-1'


def certificates(folder):
    """Makes a CA for agents and one for consoles, and certificates by them, in FOLDER."""
    done = subprocess.run([os.path.join(cases.ROOT, 'scripts', 'certificates'), folder, '--coordinator',
                           'localhost,127.0.0.1', '--agent', HOST, '--console', CONSOLE], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    cases.expect(done.returncode == 0, 'scripts/certificates: ' + done.stdout.decode(errors='replace'))
    return folder


class Backup:
    """A backup that the console called done: its answer, and what the disk was."""

    def __init__(self, said, image):
        answer = json.loads(said[said.index('{'):])
        self.point = answer['point']
        self.reason = answer['reason']
        self.counts = {name: answer[name + '_bytes'] for name in ('to_read', 'read', 'new', 'sent', 'stored')}
        self.image = image


class House:
    def __init__(self, case, disk_names=('disk-1',), data=None, memory=None):
        self.case = case
        self.memory = memory
        self.tls = certificates(case.path('tls'))
        self.data = data or case.path('data')
        self.key = case.path('repository.key')
        self.kit = case.path('repository.kit')
        self.disks = {name: case.path(name + '.raw') for name in disk_names}
        self.coordinator = None
        self.agent = None
        self.agents_port = 0
        self.consoles_port = 0
        self._exports = 0
        self._said_before = []
        case.to_explain(self.explain)
        case.at_end(self.end)

    # ---- Programs

    def binary(self, *parts):
        return os.path.join(self.case.build, *parts)

    def run_coordinator(self, *arguments, fault=None):
        return programs.run([self.binary('coordinator', 'tidemark-coordinator')] + list(arguments), fault=fault)

    def init(self, data=None, key=None, kit=None, fault=None):
        """A repository and its key, as tests want them: no passphrase, and all on the one file system that there is."""
        key = key or self.key
        kit = kit or (self.kit if key == self.key else key + '.kit')
        return self.run_coordinator('init', '--data', data or self.data, '--key', key, '--kit', kit,
                                    '--kit-anywhere', '--no-passphrase', fault=fault)

    def coordinator_arguments(self, data=None, key=None, agents=0, consoles=0):
        return ['run', '--data', data or self.data, '--key', key or self.key,
                '--tls', os.path.join(self.tls, 'coordinator'),
                '--agents', '127.0.0.1:%d' % agents, '--consoles', '127.0.0.1:%d' % consoles]

    def launch_coordinator(self, fault=None):
        """Starts it, on the ports that it had before, and does not wait for it."""
        self._remember(self.coordinator)
        self.coordinator = programs.Program(
            'coordinator', [self.binary('coordinator', 'tidemark-coordinator')] +
            self.coordinator_arguments(agents=self.agents_port, consoles=self.consoles_port), fault)
        return self.coordinator

    def await_coordinator(self):
        match = self.coordinator.wait_line(r'ready: agents on port (\d+), consoles on port (\d+)')
        self.agents_port, self.consoles_port = (int(port) for port in match.groups())

    def start_coordinator(self, fault=None):
        self.launch_coordinator(fault)
        self.await_coordinator()

    def agent_arguments(self, tls=None):
        arguments = ['run', '--coordinator', 'localhost:%d' % self.agents_port,
                     '--tls', tls or os.path.join(self.tls, 'agents', HOST)]
        for name, path in self.disks.items():
            arguments += ['--disk', '%s=%s' % (name, path)]
        if self.memory is not None:
            arguments += ['--memory', str(self.memory)]
        return arguments

    def launch_agent(self, fault=None, tls=None):
        self._remember(self.agent)
        self.agent = programs.Program('agent', [self.binary('agent', 'tidemark-agent')] +
                                      self.agent_arguments(tls), fault)
        return self.agent

    def await_agent(self, since=0):
        self.agent.wait_line(r'connected to localhost:%d' % self.agents_port, since)

    def start_agent(self, fault=None):
        self.launch_agent(fault)
        self.await_agent()

    def start(self):
        """A new repository, and both programs."""
        self.init().expect(0)
        self.start_coordinator()
        self.start_agent()
        return self

    def stop(self):
        """Stops both, as an operator does."""
        for program in (self.agent, self.coordinator):
            if program is not None and program.running():
                program.stop()

    def restart_coordinator(self, fault=None):
        """Stops and starts it; the agent finds it again by itself."""
        since = self.agent.mark() if self.agent is not None else 0
        if self.coordinator.running():
            self.coordinator.stop()
        self.start_coordinator(fault)
        if self.agent is not None and self.agent.running():
            self.await_agent(since)

    def end(self):
        """Whatever has happened: nothing runs any more, and nobody's sanitizer complained."""
        try:
            self.stop()
        finally:
            for program in (self.agent, self.coordinator):
                if program is not None:
                    program.kill()
        for program in self._said_before + [self.agent, self.coordinator]:
            if program is not None:
                program.check_quiet()

    def _remember(self, program):
        if program is not None:
            program.check_quiet()
            self._said_before = self._said_before[-5:] + [program]

    def explain(self):
        return '\n'.join(program.tail() for program in self._said_before[-2:] + [self.agent, self.coordinator]
                         if program is not None)

    # ---- The console

    def console_arguments(self, *arguments, port=None, tls=None):
        return [self.binary('console', 'tidemark'),
                '--coordinator', 'localhost:%d' % (port or self.consoles_port),
                '--tls', tls or os.path.join(self.tls, 'consoles', CONSOLE)] + list(arguments)

    def console(self, *arguments, port=None, tls=None):
        return programs.run(self.console_arguments(*arguments, port=port, tls=tls))

    def launch_console(self, *arguments):
        return programs.Program('console', self.console_arguments(*arguments))

    def image(self, name='disk-1'):
        return disks.Image(self.disks[name])

    def backup(self, name='disk-1'):
        """Backs up NAME, which must work."""
        image = self.image(name)
        result = self.console('backup', name, '--json').expect(0)
        return Backup(result.out, image)

    def points(self):
        """The ids of all restore points, the newest first."""
        return [point['point'] for point in json.loads(self.console('list', '--json').expect(0).out)]

    def export(self, point):
        """The image of POINT, which must come whole."""
        path = self._export_path()
        self.console('export', point, path).expect(0)
        image = disks.Image(path)
        os.unlink(path)
        return image

    def refused_export(self, point, words):
        """Exporting POINT fails, says WORDS, and leaves no file that looks like a disk."""
        path = self._export_path()
        result = self.console('export', point, path)
        cases.expect(not os.path.exists(path), 'a failed export left %s' % path)
        return result.expect(1, words)

    def _export_path(self):
        self._exports += 1
        return self.case.path('export-%d.raw' % self._exports)

    def expect_same(self, backup):
        """The point of BACKUP gives the disk as it was then."""
        difference = backup.image.difference(self.export(backup.point))
        cases.expect(difference is None, 'export of %s: %s' % (backup.point[:12], difference))

    def verify(self, *point):
        return self.console('verify', *point, '--json')

    def findings(self, *point):
        """What verify finds, where it must find something."""
        found = json.loads(self.verify(*point).expect(3).out)['findings']
        cases.expect(found, 'verify ended with 3, and named nothing')
        return found

    def expect_all_well(self, backups):
        """All points are there and as they were, and a further backup of each disk works."""
        cases.expect_equal(set(self.points()) & {backup.point for backup in backups},
                           {backup.point for backup in backups}, 'the points that are listed')
        self.verify().expect(0)
        for backup in backups:
            self.expect_same(backup)
        for name in self.disks:
            self.expect_same(self.backup(name))

    # ---- What lies behind

    def stored(self):
        return packs.size(self.data)

    def certificate_length(self):
        """Bytes of the agent's certificate as it is signed into a point."""
        with open(os.path.join(self.tls, 'agents', HOST, 'cert.pem'), encoding='ascii') as file:
            text = file.read().split('-----BEGIN CERTIFICATE-----')[1].split('-----END CERTIFICATE-----')[0]
        return len(''.join(text.split())) * 3 // 4

    def copy_data(self, target):
        shutil.copytree(self.data, target)
