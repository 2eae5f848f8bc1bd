"""What all tests share: hypothesis asserts no timing, because machines that run tests are busy with others' as well."""

from hypothesis import settings

settings.register_profile("elevator", deadline=None)
settings.load_profile("elevator")
