"""junit.xml: each check a test case, as CI systems read it."""

import xml.etree.ElementTree as ET

from loadtest.session import Session


def render_junit(session: Session) -> str:
    """One test suite per shape; a missed objective is a failure."""
    root = ET.Element("testsuites", name="loadtest")
    for shape in dict.fromkeys(check.shape for check in session.checks):
        checks = [check for check in session.checks if check.shape == shape]
        failures = sum(not check.passed for check in checks)
        suite = ET.SubElement(root, "testsuite", name=shape, tests=str(len(checks)), failures=str(failures))
        for check in checks:
            case = ET.SubElement(suite, "testcase", classname=f"loadtest.{shape}", name=check.name)
            if not check.passed:
                ET.SubElement(case, "failure", message=check.sentence)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
